import type { RealtimeAudioFormats } from 'openai/resources/realtime/realtime';
import { type AudioFormat, bytesPerMs, type Encoding as CallEncoding, codecOf as callCodecOf } from '../audio/codec.ts';
import { type ConverterState, convert, convertWhole } from '../audio/converter.ts';

export type Encoding = NonNullable<RealtimeAudioFormats['type']>;

/** What an encoding is: its rate, its size, and its samples as PCM16. */
export interface Codec {
  encoding: Encoding;
  format: AudioFormat;
  sampleRateHz: 8000 | 24000;
  bytesPerSample: 1 | 2;
  bytesPerMs: number;
  decode(bytes: Uint8Array): Int16Array;
  encode(samples: Int16Array): Uint8Array;
}

function codec(encoding: CallEncoding): Codec {
  const { mediaType, upstreamSampleRateHz, bytesPerSample, decode, encode } = callCodecOf(encoding);
  const format = { encoding, sampleRateHz: upstreamSampleRateHz };
  return {
    encoding: mediaType,
    format,
    sampleRateHz: upstreamSampleRateHz,
    bytesPerSample,
    bytesPerMs: bytesPerMs(format),
    decode,
    encode,
  };
}

const CODECS: Record<Encoding, Codec> = {
  'audio/pcm': codec('pcm16'),
  'audio/pcmu': codec('pcmu'),
  'audio/pcma': codec('pcma'),
};

export function codecOf(format: RealtimeAudioFormats): Codec {
  return CODECS[format.type ?? 'audio/pcm'];
}

/** Audio of one encoding as another, as one piece. The same encoding is returned as it is, byte for byte. */
export function transcodeWhole(bytes: Uint8Array, from: Codec, to: Codec): Uint8Array {
  return convertWhole(bytes, from.format, to.format);
}

/** A stream of one encoding as another, piece by piece. */
export class Transcoder {
  readonly #from: Codec;
  readonly #to: Codec;
  readonly #state: ConverterState = {};

  constructor(from: Codec, to: Codec) {
    this.#from = from;
    this.#to = to;
  }

  write(bytes: Uint8Array): Uint8Array {
    return convert(this.#state, bytes, this.#from.format, this.#to.format);
  }
}
