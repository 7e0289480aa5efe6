import { type PolyphaseBank, polyphaseBank } from './filter.ts';
import { convolve, MAX_BLOCK } from './kernel.ts';
import { isSampleRateHz, type SampleRateHz } from './sample-rates.ts';

/** Chunks of 100 ms that {@link warmUpResamplers} converts for each pair of rates. */
const WARM_UP_CHUNKS = 10;

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
  const bank = polyphaseBank(state.fromHz, state.toHz);
  return advance(state, bank, input, knownSamples(state, bank, input.length));
}

/**
 * Ends a stream: returns its last samples. With them, n input samples have made exactly ⌈n × `toHz` / `fromHz`⌉ output
 * samples. Beyond its end the stream is taken to be silent. `state` is then as at the start.
 */
export function flushResampler(state: ResamplerState): Int16Array {
  if (state.fromHz === state.toHz) return new Int16Array(0);
  const bank = polyphaseBank(state.fromHz, state.toHz);
  const count = Math.max(0, Math.ceil((bank.delayTicks - state.ticks) / bank.step));
  const lastTick = state.ticks + (count - 1) * bank.step;
  const silence = new Int16Array(count === 0 ? 0 : Math.floor(lastTick / bank.phases) + 1);
  const output = advance(state, bank, silence, count);
  state.history.fill(0);
  state.ticks = bank.delayTicks;
  return output;
}

/** All samples at another rate, as one piece. @throws RangeError for a rate that the resampler does not know */
export function resampleWhole(samples: Int16Array, fromHz: number, toHz: number): Int16Array {
  if (fromHz === toHz) return samples;
  if (!isSampleRateHz(fromHz) || !isSampleRateHz(toHz)) throw new RangeError(`cannot resample ${fromHz} to ${toHz} Hz`);
  const state = createResamplerState(fromHz, toHz);
  const head = resample(state, samples);
  const tail = flushResampler(state);
  const whole = new Int16Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

/**
 * Makes a thread ready: compiles the kernel, builds the filters between the rates calls have (8, 16 and 48 kHz) and the
 * upstream's 24 kHz, and converts enough silence for the code to be optimised. Takes a few milliseconds; without it
 * the first chunk takes one, and the next twenty several times as long as later ones.
 */
export function warmUpResamplers(): void {
  for (const rateHz of [8000, 16000, 48000] as const) {
    for (const [fromHz, toHz] of [
      [rateHz, 24000],
      [24000, rateHz],
    ] as const) {
      const state = createResamplerState(fromHz, toHz);
      const silence = new Int16Array(fromHz / 10);
      for (let chunk = 0; chunk < WARM_UP_CHUNKS; chunk++) resample(state, silence);
      flushResampler(state);
    }
  }
}

/** How many output samples become known with `length` more samples of input. */
function knownSamples(state: ResamplerState, { phases, step }: PolyphaseBank, length: number): number {
  return Math.max(0, Math.ceil((length * phases - state.ticks) / step));
}

/** Moves the stream on by `input`, and returns the first `count` of the samples this makes known. */
function advance(state: ResamplerState, bank: PolyphaseBank, input: Int16Array, count: number): Int16Array {
  if (input.length <= MAX_BLOCK) {
    const samples = convolve(bank, state.history, input, state.ticks, count);
    state.ticks += count * bank.step - input.length * bank.phases;
    return samples;
  }
  const output = new Int16Array(count);
  let made = 0;
  for (let taken = 0; taken < input.length; taken += MAX_BLOCK) {
    const block = input.subarray(taken, taken + MAX_BLOCK);
    const samples = advance(state, bank, block, knownSamples(state, bank, block.length));
    output.set(samples, made);
    made += samples.length;
  }
  return output;
}
