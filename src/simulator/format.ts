import type { RealtimeAudioFormats } from 'openai/resources/realtime/realtime';
import { aLawFromPcm16, muLawFromPcm16, pcm16FromALaw, pcm16FromMuLaw } from '../audio/g711.ts';
import { bytesFromPcm16, pcm16FromBytes } from '../audio/pcm16.ts';
import { createResamplerState, type ResamplerState, resample, resampleWhole } from '../audio/resampler.ts';

export type Encoding = NonNullable<RealtimeAudioFormats['type']>;

/** What an encoding is: its rate, its size, and its samples as PCM16. */
export interface Codec {
  encoding: Encoding;
  sampleRateHz: 8000 | 24000;
  bytesPerSample: 1 | 2;
  bytesPerMs: number;
  decode(bytes: Uint8Array): Int16Array;
  encode(samples: Int16Array): Uint8Array;
}

/** The samples of little-endian PCM16, which may be none. */
function samplesOf(bytes: Uint8Array): Int16Array {
  return bytes.length === 0 ? new Int16Array(0) : pcm16FromBytes(bytes);
}

const PCM: Codec = {
  encoding: 'audio/pcm',
  sampleRateHz: 24_000,
  bytesPerSample: 2,
  bytesPerMs: 48,
  decode: samplesOf,
  encode: bytesFromPcm16,
};
const G711 = { sampleRateHz: 8000, bytesPerSample: 1, bytesPerMs: 8 } as const;
const CODECS: Record<Encoding, Codec> = {
  'audio/pcm': PCM,
  'audio/pcmu': { ...G711, encoding: 'audio/pcmu', decode: pcm16FromMuLaw, encode: muLawFromPcm16 },
  'audio/pcma': { ...G711, encoding: 'audio/pcma', decode: pcm16FromALaw, encode: aLawFromPcm16 },
};

export function codecOf(format: RealtimeAudioFormats): Codec {
  return CODECS[format.type ?? 'audio/pcm'];
}

/** Audio of one encoding as another, as one piece. The same encoding is returned as it is, byte for byte. */
export function transcodeWhole(bytes: Uint8Array, from: Codec, to: Codec): Uint8Array {
  if (from === to) return bytes;
  return to.encode(resampleWhole(from.decode(bytes), from.sampleRateHz, to.sampleRateHz));
}

/** A stream of one encoding as another, piece by piece. */
export class Transcoder {
  readonly #from: Codec;
  readonly #to: Codec;
  readonly #resampler: ResamplerState | undefined;

  constructor(from: Codec, to: Codec) {
    this.#from = from;
    this.#to = to;
    const isSameRate = from.sampleRateHz === to.sampleRateHz;
    this.#resampler = isSameRate ? undefined : createResamplerState(from.sampleRateHz, to.sampleRateHz);
  }

  write(bytes: Uint8Array): Uint8Array {
    if (this.#from === this.#to) return bytes;
    const samples = this.#from.decode(bytes);
    return this.#to.encode(this.#resampler ? resample(this.#resampler, samples) : samples);
  }
}
