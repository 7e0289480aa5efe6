import type { AudioFormat } from '../../audio/codec.ts';
import { SAMPLE_RATES_HZ, type SampleRateHz } from '../../audio/sample-rates.ts';
import { LegError } from '../errors.ts';
import type { Fields } from '../event-socket/message.ts';
import { variable } from './settings.ts';

/** How a channel's audio crosses to its leg. */
export interface ChannelAudio {
  /** What the gateway is given and gives: G.711 where the call is in it, since an AI takes it as it is. */
  readonly format: AudioFormat;
  /** What a packet lasts. */
  readonly packetMs: number;
}

const DEFAULT_PACKET_MS = 20;
const PACKETS_MS = [10, 20, 30, 40, 60];

/**
 * What a channel's audio is. Between the switch and its leg it is linear samples at the channel's rate, whatever the codec:
 * handed over as it is (`flags: native`), FreeSWITCH writes with the codec that it reads with, and the two threads wait for
 * each other for ever as soon as the caller's telephone says anything, that it hangs up for one.
 * @throws {LegError} `bad_audio`
 */
export function channelAudio(channel: Fields): ChannelAudio {
  const codec = channel.get('channel-read-codec-name')?.toUpperCase();
  const rateHz = Number(channel.get('channel-read-codec-rate'));
  if (codec === undefined)
    throw new LegError('bad_audio', 'the call has no audio yet: it is neither answered nor early');
  const packetMs = Number(variable(channel, 'rtp_use_codec_ptime') ?? DEFAULT_PACKET_MS);
  const common = { packetMs: PACKETS_MS.includes(packetMs) ? packetMs : DEFAULT_PACKET_MS };
  if (codec === 'PCMU' || codec === 'PCMA') {
    const encoding = codec === 'PCMU' ? 'pcmu' : 'pcma';
    if (rateHz === 8000) return { ...common, format: { encoding, sampleRateHz: 8000 } };
  }
  if (!SAMPLE_RATES_HZ.includes(rateHz as SampleRateHz)) {
    const rates = SAMPLE_RATES_HZ.join(', ');
    throw new LegError('bad_audio', `the call is in ${codec} at ${rateHz} Hz, but only ${rates} Hz are carried`);
  }
  return { ...common, format: { encoding: 'pcm16', sampleRateHz: rateHz as SampleRateHz } };
}
