import { polyphaseBank } from './filter.ts';
import type { SampleRateHz } from './format.ts';
import { convolve, MAX_BLOCK } from './kernel.ts';

/**
 * Where a stream's conversion from one sample rate to another stands. Opaque plain data that belongs to the stream, not
 * to a thread: it may be cloned or transferred between any two calls, and is some hundred bytes.
 */
export interface ResamplerState {
  readonly fromHz: SampleRateHz;
  readonly toHz: SampleRateHz;
  /** The last input samples, oldest first, as many as the filter looks back on; zeros before the stream's start. */
  history: Int16Array;
  /**
   * Ticks (samples at the least common multiple of the rates) from the next input sample to the newest one that the
   * next output sample depends on; never negative between calls. It starts as the filter's delay, so that the first
   * output sample is the one at the time of the first input sample.
   */
  ticks: number;
}

/** The state at the start of a stream. Equal rates are allowed: samples are then copied through. */
export function createResamplerState(fromHz: SampleRateHz, toHz: SampleRateHz): ResamplerState {
  if (fromHz === toHz) return { fromHz, toHz, history: new Int16Array(0), ticks: 0 };
  const bank = polyphaseBank(fromHz, toHz);
  return { fromHz, toHz, history: new Int16Array(bank.taps - 1), ticks: bank.delayTicks };
}

/**
 * Converts the next chunk of a stream, of any length.
 *
 * The filter's delay is compensated: output sample m is the signal at m / `toHz` seconds, without a shift in time. To
 * know it, the filter must see 24 samples of the lower rate beyond (3 ms at 8 kHz), so a stream's output lags its input
 * by that much until {@link flushResampler} hands out the rest. Chunked output, joined, equals the output of the whole
 * stream bit for bit, however it is cut.
 *
 * @param state changed in place.
 * @param input not changed and not kept.
 * @returns the samples that have become known, in memory of their own; saturated at the ends of the range, rounded to
 * the nearest.
 */
export function resample(state: ResamplerState, input: Int16Array): Int16Array {
  if (state.fromHz === state.toHz) return new Int16Array(input);
  const { phases, step } = polyphaseBank(state.fromHz, state.toHz);
  const output = new Int16Array(Math.max(0, Math.ceil((input.length * phases - state.ticks) / step)));
  advance(state, input, output);
  return output;
}

/**
 * Ends a stream: returns its last samples. With them, n input samples have made exactly ⌈n × `toHz` / `fromHz`⌉ output
 * samples. Beyond its end the stream is taken to be silent. `state` is then as at the start.
 */
export function flushResampler(state: ResamplerState): Int16Array {
  if (state.fromHz === state.toHz) return new Int16Array(0);
  const { phases, step, delayTicks } = polyphaseBank(state.fromHz, state.toHz);
  const output = new Int16Array(Math.max(0, Math.ceil((delayTicks - state.ticks) / step)));
  if (output.length > 0) {
    const lastTick = state.ticks + (output.length - 1) * step;
    advance(state, new Int16Array(Math.floor(lastTick / phases) + 1), output);
  }
  state.history.fill(0);
  state.ticks = delayTicks;
  return output;
}

/** Moves the stream on by `input`, and fills `output` with as many of the samples this makes known. */
function advance(state: ResamplerState, input: Int16Array, output: Int16Array): void {
  const bank = polyphaseBank(state.fromHz, state.toHz);
  let made = 0;
  for (let taken = 0; taken < input.length; taken += MAX_BLOCK) {
    const block = input.length <= MAX_BLOCK ? input : input.subarray(taken, taken + MAX_BLOCK);
    const known = Math.max(0, Math.ceil((block.length * bank.phases - state.ticks) / bank.step));
    const count = Math.min(known, output.length - made);
    if (count > 0) {
      convolve(bank, state.history, block, state.ticks, output.subarray(made, made + count));
      made += count;
    }
    state.ticks += count * bank.step - block.length * bank.phases;
    remember(state.history, block);
  }
}

/** Appends samples to the history, which keeps its length by forgetting the oldest. */
function remember(history: Int16Array, samples: Int16Array): void {
  const kept = history.length - samples.length;
  if (kept <= 0) {
    history.set(samples.subarray(-kept));
    return;
  }
  history.copyWithin(0, samples.length);
  history.set(samples, kept);
}
