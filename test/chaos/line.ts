import { muLawFromPcm16 } from '../../src/audio/g711.ts';
import { resampleWhole } from '../../src/audio/resampler.ts';
import { silence, speech, type Utterance } from '../support/caller.ts';

/** Behind an utterance, so that its turn ends. */
const SILENCE_MS = 800;
const RECORDED_HZ = 16_000;

const encoded = new Map<string, Buffer>();

/** How a call's audio travels. G.711 goes through the gateway as it is, and is a sixth of the work. */
export interface Line {
  /** What `create` is told. */
  readonly format: { readonly encoding: 'pcm16' | 'pcmu'; readonly sampleRate: 8_000 | 16_000 };
  readonly bytesPerMs: number;
}

export const WIDE: Line = { format: { encoding: 'pcm16', sampleRate: RECORDED_HZ }, bytesPerMs: 32 };
export const NARROW: Line = { format: { encoding: 'pcmu', sampleRate: 8_000 }, bytesPerMs: 8 };

/** What a caller says, and the silence behind it, as a call's audio. */
export function spoken(utterance: Utterance, { format }: Line): Buffer {
  const key = `${format.encoding} ${utterance}`;
  let audio = encoded.get(key);
  if (!audio) {
    audio = Buffer.concat([speech(utterance), silence(SILENCE_MS)]);
    if (format.encoding === 'pcmu') {
      const samples = new Int16Array(audio.length / 2).map((_, at) => audio!.readInt16LE(2 * at));
      audio = Buffer.from(muLawFromPcm16(resampleWhole(samples, RECORDED_HZ, format.sampleRate)));
    }
    encoded.set(key, audio);
  }
  return audio;
}
