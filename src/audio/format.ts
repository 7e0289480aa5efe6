/** How samples are written as bytes: 16-bit linear PCM (little-endian), or ITU-T G.711 mu-law or A-law. */
export type Encoding = 'pcm16' | 'pcmu' | 'pcma';

/** The sample rates the gateway speaks, in samples a second, lowest first. */
export const SAMPLE_RATES_HZ = [8000, 16000, 24000, 48000] as const;

/** One of {@link SAMPLE_RATES_HZ}. */
export type SampleRateHz = (typeof SAMPLE_RATES_HZ)[number];

/** Whether `n` is a sample rate the gateway speaks. */
export function isSampleRateHz(n: number): n is SampleRateHz {
  return n === 8000 || n === 16000 || n === 24000 || n === 48000;
}

/** What a run of bytes of mono audio means. */
export interface AudioFormat {
  readonly encoding: Encoding;
  readonly sampleRateHz: SampleRateHz;
}

/** Bytes of mono audio in one millisecond: a whole number at every rate and encoding. */
export function bytesPerMs(format: AudioFormat): number {
  return (format.sampleRateHz / 1000) * (format.encoding === 'pcm16' ? 2 : 1);
}

/** The byte that, repeated, is silence: 0x00 in PCM16, 0xff in mu-law, 0xd5 in A-law. */
export function silenceByte(encoding: Encoding): number {
  switch (encoding) {
    case 'pcm16':
      return 0x00;
    case 'pcmu':
      return 0xff;
    case 'pcma':
      return 0xd5;
  }
}
