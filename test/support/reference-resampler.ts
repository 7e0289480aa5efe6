import { prototypeFilter } from '../../src/audio/filter.ts';

/**
 * Resampling by the definition, in double precision and without rounding: stretch with zeros, filter, keep every M-th
 * sample. Slow; shares the filter's prototype with the product and nothing else.
 */
export function referenceResample(input: ArrayLike<number>, fromHz: number, toHz: number): Float64Array {
  const divisor = [48000, 24000, 16000, 8000].find((rate) => fromHz % rate === 0 && toHz % rate === 0)!;
  const stretch = toHz / divisor;
  const keep = fromHz / divisor;
  const prototype = prototypeFilter(Math.max(stretch, keep));
  const delay = (prototype.length - 1) / 2;
  return Float64Array.from({ length: Math.ceil((input.length * stretch) / keep) }, (_, m) => {
    const centre = m * keep + delay;
    let sum = 0;
    for (let n = Math.max(0, Math.ceil((centre - prototype.length + 1) / stretch)); n < input.length; n++) {
      const tap = centre - n * stretch;
      if (tap < 0) break;
      sum += prototype[tap]! * input[n]!;
    }
    return sum * stretch;
  });
}

/** Gain of a symmetric filter of odd length at a frequency in cycles a sample. */
export function gainAt(impulse: Float64Array, frequency: number): number {
  const delay = (impulse.length - 1) / 2;
  let sum = impulse[delay]!;
  for (let k = 1; k <= delay; k++) sum += 2 * impulse[delay - k]! * Math.cos(2 * Math.PI * frequency * k);
  return sum;
}
