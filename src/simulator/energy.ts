import type { Codec } from './format.ts';
import { WINDOW_MS } from './vad.ts';

/** For G.711, the energy of each of the 256 codes: such audio need not be decoded to be measured. */
const tables = new Map<Codec, Float64Array>();

function energyTable(codec: Codec): Float64Array {
  let table = tables.get(codec);
  if (!table) {
    const values = codec.decode(Uint8Array.from({ length: 256 }, (_, code) => code));
    table = Float64Array.from(values, (value) => value * value);
    tables.set(codec, table);
  }
  return table;
}

/** Cuts a stream of audio bytes into windows of {@link WINDOW_MS} and measures each. */
export class EnergyMeter {
  readonly #codec: Codec;
  readonly #samples: number;
  readonly #table: Float64Array | undefined;
  readonly #onWindow: (power: number) => void;
  #sum = 0;
  #filled = 0;

  /** @param onWindow gets the mean square of each window, in units of 16-bit samples */
  constructor(codec: Codec, onWindow: (power: number) => void) {
    this.#codec = codec;
    this.#samples = (codec.sampleRateHz * WINDOW_MS) / 1000;
    this.#table = codec.bytesPerSample === 1 ? energyTable(codec) : undefined;
    this.#onWindow = onWindow;
  }

  write(bytes: Uint8Array): void {
    const values = this.#table ? bytes : this.#codec.decode(bytes);
    for (let from = 0; from < values.length; ) {
      const to = Math.min(values.length, from + this.#samples - this.#filled);
      this.#sum += this.#table ? sumOfCodes(values, this.#table, from, to) : sumOfSquares(values, from, to);
      this.#filled += to - from;
      from = to;
      if (this.#filled < this.#samples) return;
      const power = this.#sum / this.#samples;
      this.#sum = 0;
      this.#filled = 0;
      this.#onWindow(power);
    }
  }
}

function sumOfSquares(samples: Int16Array | Uint8Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += samples[i]! * samples[i]!;
  return sum;
}

function sumOfCodes(codes: Int16Array | Uint8Array, table: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += table[codes[i]!]!;
  return sum;
}
