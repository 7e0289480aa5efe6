import type { PolyphaseBank } from './filter.ts';
import { KERNEL_WASM } from './kernel-wasm.ts';

/** The most input samples {@link convolve} takes at once: 100 ms at the highest sample rate. */
export const MAX_BLOCK = 4800;

/** Bits of the fine part of a tap; see `assembly/resampler.ts`. */
const FINE_BITS = 11;

/** The most phases a bank has, the most input samples in a period, and the longest history, over all pairs of rates. */
const MAX_PHASES = 6;
const MAX_STEP = 6;
const MAX_HISTORY = 287;

/**
 * The memory's layout, in bytes. Taps of all banks come first: twelve pairs of rates, of which none has more than 288
 * taps of four bytes. The window and the output have room behind them for what the kernel takes four at a time.
 */
const SAMPLES_AT = 12 * 288 * 4;
const OUTPUT_AT = SAMPLES_AT + 2 * (MAX_HISTORY + MAX_BLOCK + 3 * MAX_STEP);
const MEMORY_BYTES = OUTPUT_AT + 2 * (MAX_BLOCK + 3) * MAX_PHASES;

/** The same places as indexes of samples. */
const WINDOW = SAMPLES_AT / 2;
const OUTPUT = OUTPUT_AT / 2;

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Documented in `assembly/resampler.ts`. */
  convolve(
    taps: number,
    samples: number,
    output: number,
    tapCount: number,
    phases: number,
    step: number,
    ticks: number,
    count: number,
  ): void;
}

/** The part used here of what Node's types leave out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

class Kernel {
  readonly convolve: KernelExports['convolve'];
  /** The whole memory. */
  readonly heap: Int16Array<ArrayBuffer>;
  readonly #tapsAt = new Map<PolyphaseBank, number>();
  #nextTapsAt = 0;

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(KERNEL_WASM, 'base64'));
    const { convolve, memory } = new WebAssembly.Instance(module).exports as KernelExports;
    if (memory.buffer.byteLength < MEMORY_BYTES) throw new RangeError('the kernel has too little memory');
    this.convolve = convolve;
    this.heap = new Int16Array(memory.buffer);
  }

  /** The address of a bank's taps. */
  tapsAt(bank: PolyphaseBank): number {
    return this.#tapsAt.get(bank) ?? this.#place(bank);
  }

  /** Splits each tap into its coarse and its fine part, and lays out eight of each in turn. */
  #place(bank: PolyphaseBank): number {
    const { coefficients } = bank;
    const address = this.#nextTapsAt;
    const end = address + 4 * coefficients.length;
    if (end > SAMPLES_AT) throw new RangeError('the kernel has no room for another filter bank');
    for (let i = 0; i < coefficients.length; i++) {
      const tap = coefficients[i]!;
      const coarse = (tap + (1 << (FINE_BITS - 1))) >> FINE_BITS;
      const at = address / 2 + 16 * (i >> 3) + (i & 7);
      this.heap[at] = coarse;
      this.heap[at + 8] = tap - (coarse << FINE_BITS);
    }
    this.#tapsAt.set(bank, address);
    this.#nextTapsAt = end;
    return address;
  }
}

/** This thread's, made at first use. */
let kernel: Kernel | undefined;

/**
 * Computes output samples from a block of input: the resampler's inner loop, and the one place where its time goes.
 *
 * Each is the exact sum of its phase's taps times the samples they meet, rounded to the nearest (halves upwards) and
 * saturated at the ends of the range. How a signal is cut into blocks therefore does not change a bit of it.
 *
 * @param history the `taps − 1` input samples before the block. Moved on to be those before the next block.
 * @param input the block; at most {@link MAX_BLOCK} samples.
 * @param ticks where the first output sample lies: its newest input sample is number `⌊ticks / L⌋` of the block.
 * @param count how many consecutive output samples to compute; the last one's newest input sample must be in the block.
 * @returns the samples, in memory of their own.
 */
export function convolve(
  bank: PolyphaseBank,
  history: Int16Array,
  input: Int16Array,
  ticks: number,
  count: number,
): Int16Array<ArrayBuffer> {
  kernel ??= new Kernel();
  const { heap } = kernel;
  heap.set(history, WINDOW);
  heap.set(input, WINDOW + history.length);
  kernel.convolve(kernel.tapsAt(bank), SAMPLES_AT, OUTPUT_AT, bank.taps, bank.phases, bank.step, ticks, count);
  const next = WINDOW + input.length;
  for (let i = 0; i < history.length; i++) history[i] = heap[next + i]!;
  return heap.slice(OUTPUT, OUTPUT + count);
}
