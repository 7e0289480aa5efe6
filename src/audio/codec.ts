import { aLawFromPcm16, muLawFromPcm16, pcm16FromALaw, pcm16FromMuLaw } from './g711.ts';
import { bytesFromPcm16, pcm16FromBytes } from './pcm16.ts';
import { SAMPLE_RATES_HZ, type SampleRateHz } from './sample-rates.ts';

/** What one encoding is: everything the gateway knows of it stands in {@link CODECS}. */
export interface Codec {
  /** Its media type, without parameters; the Realtime API calls it the same. */
  readonly mediaType: 'audio/pcm' | 'audio/pcmu' | 'audio/pcma';
  readonly bytesPerSample: 1 | 2;
  /** The rates at which calls may use it. */
  readonly sampleRatesHz: readonly SampleRateHz[];
  /** The rate of a call that names none. */
  readonly defaultSampleRateHz: SampleRateHz;
  /** The rate at which an AI takes and gives it. */
  readonly upstreamSampleRateHz: 8000 | 24000;
  /** The byte that, repeated, is silence. */
  readonly silenceByte: number;
  /** Samples from bytes: whole samples, none is fine. May be a view on the bytes. */
  readonly decode: (bytes: Uint8Array) => Int16Array;
  /** Bytes from samples. May be a view on the samples. */
  readonly encode: (samples: Int16Array) => Uint8Array;
}

const G711 = {
  bytesPerSample: 1,
  sampleRatesHz: [8000],
  defaultSampleRateHz: 8000,
  upstreamSampleRateHz: 8000,
} as const;

/** Every encoding of the gateway: 16-bit linear PCM (little-endian), and ITU-T G.711 mu-law and A-law. */
export const CODECS = {
  pcm16: {
    mediaType: 'audio/pcm',
    bytesPerSample: 2,
    sampleRatesHz: SAMPLE_RATES_HZ,
    defaultSampleRateHz: 16000,
    upstreamSampleRateHz: 24000,
    silenceByte: 0x00,
    decode: (bytes) => (bytes.length === 0 ? new Int16Array(0) : pcm16FromBytes(bytes)),
    encode: bytesFromPcm16,
  },
  pcmu: { ...G711, mediaType: 'audio/pcmu', silenceByte: 0xff, decode: pcm16FromMuLaw, encode: muLawFromPcm16 },
  pcma: { ...G711, mediaType: 'audio/pcma', silenceByte: 0xd5, decode: pcm16FromALaw, encode: aLawFromPcm16 },
} as const satisfies Record<string, Codec>;

/** How samples are written as bytes. */
export type Encoding = keyof typeof CODECS;

/** Every encoding, as a list. */
export const ENCODINGS = Object.keys(CODECS) as readonly Encoding[];

/** What a run of bytes of mono audio means. */
export interface AudioFormat {
  readonly encoding: Encoding;
  readonly sampleRateHz: SampleRateHz;
}

/** The codec of an encoding, as wide as {@link Codec}. */
export function codecOf(encoding: Encoding): Codec {
  return CODECS[encoding];
}

/** Bytes of mono audio in one millisecond: a whole number at every rate and encoding. */
export function bytesPerMs({ encoding, sampleRateHz }: AudioFormat): number {
  return (sampleRateHz / 1000) * CODECS[encoding].bytesPerSample;
}

/** The byte that, repeated, is silence: 0x00 in PCM16, 0xff in mu-law, 0xd5 in A-law. */
export function silenceByte(encoding: Encoding): number {
  return CODECS[encoding].silenceByte;
}

/** Whether two runs of bytes mean the same. */
export function isSameFormat(a: AudioFormat, b: AudioFormat): boolean {
  return a.encoding === b.encoding && a.sampleRateHz === b.sampleRateHz;
}

/**
 * The format in which an AI takes or gives the audio of a call in `format`: the call's own where the AI speaks it (G.711),
 * so that nothing is converted; linear PCM at the AI's rate otherwise.
 */
export function upstreamFormatOf({ encoding }: AudioFormat): AudioFormat {
  return { encoding, sampleRateHz: CODECS[encoding].upstreamSampleRateHz };
}

/** What is said of a run of bytes by whoever sends it: a WAV file, which says the rest itself, or bare samples. */
export type DeclaredAudio =
  | { readonly kind: 'wav' }
  | {
      readonly kind: Encoding;
      /** In Hz; absent: the call's own. */
      readonly sampleRateHz?: SampleRateHz;
      /** Samples of two bytes come with the higher one first. */
      readonly bigEndian?: boolean;
    };
