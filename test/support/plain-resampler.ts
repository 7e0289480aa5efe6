import { polyphaseBank } from '../../src/audio/filter.ts';
import { createResamplerState } from '../../src/audio/resampler.ts';
import type { SampleRateHz } from '../../src/audio/sample-rates.ts';
import { type PlainBank, plainBank, plainConvolve } from './plain-kernel.ts';

/** A stream's conversion between two different rates by the plain-JavaScript twin of the kernel. */
export class PlainResampler {
  readonly #delayTicks: number;
  readonly #bank: PlainBank;
  readonly #history: Int16Array;
  #ticks: number;

  constructor(fromHz: SampleRateHz, toHz: SampleRateHz) {
    const bank = polyphaseBank(fromHz, toHz);
    const { history, ticks } = createResamplerState(fromHz, toHz);
    this.#delayTicks = bank.delayTicks;
    this.#bank = plainBank(bank);
    this.#history = history;
    this.#ticks = ticks;
  }

  /** Converts the next chunk, like `resample`. */
  push(input: Int16Array): Int16Array {
    const { phases, step } = this.#bank;
    const output = new Int16Array(Math.max(0, Math.ceil((input.length * phases - this.#ticks) / step)));
    plainConvolve(this.#bank, this.#history, input, this.#ticks, output);
    this.#ticks += output.length * step - input.length * phases;
    const kept = this.#history.length - input.length;
    if (kept > 0) this.#history.copyWithin(0, input.length);
    this.#history.set(input.subarray(Math.max(0, -kept)), Math.max(0, kept));
    return output;
  }

  /** The stream's last samples, like those of `flushResampler`. */
  flush(): Int16Array {
    const { phases, step } = this.#bank;
    const count = Math.max(0, Math.ceil((this.#delayTicks - this.#ticks) / step));
    if (count === 0) return new Int16Array(0);
    const lastTick = this.#ticks + (count - 1) * step;
    return this.push(new Int16Array(Math.floor(lastTick / phases) + 1)).subarray(0, count);
  }
}
