import type { SampleRateHz } from './format.ts';
import { designLowPass } from './minimax.ts';

/**
 * The resampler's filters.
 *
 * Converting from `fromHz` to `toHz` = `fromHz` × L/M means, in principle, stretching the signal L-fold with zeros,
 * low-pass filtering it at half the lower of the two rates, and keeping every M-th sample. The low-pass filter at the
 * stretched rate is the *prototype*; a *tick* is a sample at that rate. Of its taps only every L-th meets a sample that
 * is not zero, so it falls into L *phases*, and each output sample is one phase's dot product with the latest input.
 */

/** Edges of the transition band, as parts of half the lower sample rate. */
const PASS_EDGE = 0.9;
const STOP_EDGE = 1.1;
/**
 * Length of the filter in samples of the lower rate. With {@link STOP_WEIGHT} it gives a pass band within 0.03 dB and a
 * stop band below −108 dB, ten decibels under the rounding noise of 16 bits. Being a multiple of 24, it divides evenly
 * for every pair of rates.
 */
const TAPS = 48;
const STOP_WEIGHT = 400;

/** A prototype split into phases, laid out for the kernel. */
export interface PolyphaseBank {
  /** L: output samples in a period, and phases. */
  readonly phases: number;
  /** M: input samples in a period; also how many ticks lie between two output samples. */
  readonly step: number;
  /** Taps in a phase; a multiple of 4 × `step`. */
  readonly taps: number;
  /** Group delay in ticks. */
  readonly delayTicks: number;
  /**
   * Taps of all phases, phase after phase. A phase is split further into `step` *lanes*: lane j holds the taps that
   * meet the samples j, j + M, j + 2M … of a window of `taps` input samples, oldest first. The tap for sample
   * j + gM of phase p stands at `p × taps + j × taps/M + g`.
   */
  readonly coefficients: Float64Array;
}

const prototypes = new Map<number, Float64Array>();
const banks = new Map<number, PolyphaseBank>();

/**
 * The filter bank that converts between two different sample rates. Built at first use, which
 * takes some ten milliseconds in cold code, and kept for the life of the thread.
 */
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
 * 0 Hz. `ratio` is the tick rate divided by the lower sample rate: 2, 3 or 6. Must not be changed by the caller.
 */
export function prototypeFilter(ratio: number): Float64Array {
  let prototype = prototypes.get(ratio);
  if (prototype === undefined) {
    prototype = designLowPass({
      delay: (TAPS * ratio) / 2 - 1,
      passEdge: PASS_EDGE / (2 * ratio),
      stopEdge: STOP_EDGE / (2 * ratio),
      stopWeight: STOP_WEIGHT,
    });
    prototypes.set(ratio, prototype);
  }
  return prototype;
}

function buildBank(fromHz: SampleRateHz, toHz: SampleRateHz): PolyphaseBank {
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const phases = toHz / divisor;
  const step = fromHz / divisor;
  const ratio = Math.max(phases, step);
  const prototype = prototypeFilter(ratio);
  const taps = (TAPS * ratio) / phases;
  const lane = taps / step;
  const coefficients = new Float64Array(phases * taps);
  for (let phase = 0; phase < phases; phase++) {
    for (let sample = 0; sample < taps; sample++) {
      // The window runs forwards in time, the impulse response backwards. Stretching with zeros costs a gain of L.
      const tap = phase + (taps - 1 - sample) * phases;
      const at = phase * taps + (sample % step) * lane + Math.floor(sample / step);
      coefficients[at] = tap < prototype.length ? prototype[tap]! * phases : 0;
    }
  }
  return { phases, step, taps, delayTicks: (prototype.length - 1) / 2, coefficients };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
