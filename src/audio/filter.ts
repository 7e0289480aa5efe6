import { PROTOTYPES, TAP_BITS } from './prototypes.ts';
import type { SampleRateHz } from './sample-rates.ts';

/**
 * The resampler's filters.
 *
 * Converting from `fromHz` to `toHz` = `fromHz` × L/M means, in principle, stretching the signal L-fold with zeros,
 * low-pass filtering it at half the lower of the two rates, and keeping every M-th sample. The low-pass filter at the
 * stretched rate is the *prototype*; a *tick* is a sample at that rate. Of its taps only every L-th meets a sample that
 * is not zero, so it falls into L *phases*, and each output sample is one phase's dot product with the latest input.
 */

/** A prototype split into phases. */
export interface PolyphaseBank {
  /** L: output samples in a period, and phases. */
  readonly phases: number;
  /** M: input samples in a period; also how many ticks lie between two output samples. */
  readonly step: number;
  /** Taps in a phase; a multiple of 8 and of `step`. */
  readonly taps: number;
  /** Group delay in ticks. */
  readonly delayTicks: number;
  /**
   * Taps of all phases, phase after phase, in units of 2^−{@link TAP_BITS}. Within a phase they stand in the order of the
   * samples they meet, oldest first.
   */
  readonly coefficients: Int32Array;
}

const banks = new Map<number, PolyphaseBank>();

/** The filter bank that converts between two different sample rates. Built once and kept for the life of the thread. */
export function polyphaseBank(fromHz: SampleRateHz, toHz: SampleRateHz): PolyphaseBank {
  // Rates are below 2^16.
  const key = fromHz * 0x10000 + toHz;
  let bank = banks.get(key);
  if (bank === undefined) {
    bank = buildBank(fromHz, toHz);
    banks.set(key, bank);
  }
  return bank;
}

/**
 * The impulse response of the prototype for a low-pass filter at 1/(2 × `ratio`) cycles a tick, with a gain of 1 at
 * 0 Hz. `ratio` is the tick rate divided by the lower sample rate: 2, 3 or 6.
 */
export function prototypeFilter(ratio: number): Float64Array {
  const half = PROTOTYPES[ratio];
  if (half === undefined) throw new RangeError(`no filter is designed for a ratio of ${ratio}`);
  const centre = half.length - 1;
  return Float64Array.from({ length: 2 * centre + 1 }, (_, i) => half[Math.min(i, 2 * centre - i)]! / 2 ** TAP_BITS);
}

function buildBank(fromHz: SampleRateHz, toHz: SampleRateHz): PolyphaseBank {
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const phases = toHz / divisor;
  const step = fromHz / divisor;
  const prototype = prototypeFilter(Math.max(phases, step));
  // A prototype is one tap short of a whole number for each phase; that one is 0.
  const taps = (prototype.length + 1) / phases;
  const coefficients = new Int32Array(phases * taps);
  for (let phase = 0; phase < phases; phase++) {
    for (let sample = 0; sample < taps; sample++) {
      // The window runs forwards in time, the impulse response backwards. Stretching with zeros costs a gain of L.
      const tap = (prototype[phase + (taps - 1 - sample) * phases] ?? 0) * phases;
      coefficients[phase * taps + sample] = tap * 2 ** TAP_BITS;
    }
  }
  return { phases, step, taps, delayTicks: (prototype.length - 1) / 2, coefficients };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
