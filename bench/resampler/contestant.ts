import type { SampleRateHz } from '../../src/audio/sample-rates.ts';
import { joinSamples } from '../../test/support/tones.ts';

/** A resampler that takes part in the benchmark. */
export interface Contestant {
  readonly name: string;
  /** Starts a stream. */
  open(fromHz: SampleRateHz, toHz: SampleRateHz): Promise<Conversion>;
}

/** One stream's conversion, from PCM16 to PCM16. */
export interface Conversion {
  /**
   * Converts chunks that follow each other.
   *
   * @returns what has come out so far, joined; the stream's end may be missing.
   */
  convert(chunks: readonly Int16Array[]): Promise<Int16Array>;
  /**
   * Converts a chunk `count` times over; resolves to the microseconds that one took, on average. Half as many come
   * before and are not counted: caches are cold after the others' turn.
   */
  time(chunk: Int16Array, count: number): Promise<number>;
  close(): Promise<void>;
}

/** A conversion that runs in this thread, by a function from a stream's next chunk to the samples it makes known. */
export function conversionOf(push: (chunk: Int16Array) => Int16Array, close: () => void = () => {}): Conversion {
  return {
    convert: async (chunks) => joinSamples(chunks.map((chunk) => new Int16Array(push(chunk)))),
    time: async (chunk, count) => {
      for (let i = 0; i < count / 2; i++) push(chunk);
      const start = process.hrtime.bigint();
      for (let i = 0; i < count; i++) push(chunk);
      return Number(process.hrtime.bigint() - start) / 1000 / count;
    },
    close: async () => close(),
  };
}
