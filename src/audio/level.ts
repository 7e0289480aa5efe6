import { transform } from './fft.ts';

/** Full scale of PCM16. */
const FULL_SCALE = 32768;

/**
 * Root mean square of samples in decibels below full scale (a full-scale square wave is 0 dBFS, a full-scale sine
 * −3.01 dBFS). Silence, and no samples, are −Infinity.
 */
export function rmsDbfs(samples: Int16Array): number {
  if (samples.length === 0) return Number.NEGATIVE_INFINITY;
  let energy = 0;
  for (let i = 0; i < samples.length; i++) energy += samples[i]! * samples[i]!;
  return 10 * Math.log10(energy / samples.length / FULL_SCALE ** 2);
}

/** Where one signal is found in another. */
export interface Correlation {
  /** Samples by which the signal is later than the reference: sample i of the reference is sample i + lag of it. */
  readonly lag: number;
  /** How alike they are there, from 0 to 1, whatever the level of each; 0 when they are not, or nothing can be compared. */
  readonly coefficient: number;
}

/**
 * Finds the lag from −`maxLag` to `maxLag` samples at which `signal` is most like `reference`: the normalised
 * cross-correlation of the parts that overlap. Lags at which less than half of the shorter one overlaps are left out,
 * since a few samples are like anything, and so are those at which either part is all but silent.
 *
 * Costs two Fourier transforms of the summed length, whatever `maxLag` is: about a tenth of a second for ten seconds
 * at 16 kHz.
 */
export function bestCorrelation(
  reference: Int16Array | Float32Array,
  signal: Int16Array | Float32Array,
  maxLag: number,
): Correlation {
  const shorter = Math.min(reference.length, signal.length);
  if (shorter === 0) return { lag: 0, coefficient: 0 };
  const minOverlap = Math.ceil(shorter / 2);
  const products = crossCorrelate(reference, signal);
  const referenceEnergy = cumulativeEnergy(reference);
  const signalEnergy = cumulativeEnergy(signal);
  const silence = 1e-12 * referenceEnergy.at(-1)! * signalEnergy.at(-1)!;
  let best: Correlation = { lag: 0, coefficient: 0 };
  const first = Math.max(-maxLag, minOverlap - reference.length);
  const last = Math.min(maxLag, signal.length - minOverlap);
  for (let lag = first; lag <= last; lag++) {
    const from = Math.max(0, -lag);
    const to = Math.min(reference.length, signal.length - lag);
    const energies =
      (referenceEnergy[to]! - referenceEnergy[from]!) * (signalEnergy[to + lag]! - signalEnergy[from + lag]!);
    if (energies <= silence) continue;
    const product = products[lag < 0 ? lag + products.length : lag]!;
    const coefficient = Math.min(1, product / Math.sqrt(energies));
    if (coefficient > best.coefficient) best = { lag, coefficient };
  }
  return best;
}

/** Sum of reference[i] × signal[i + lag] for every lag, at index lag, or lag + length where lag is negative. */
function crossCorrelate(reference: Int16Array | Float32Array, signal: Int16Array | Float32Array): Float64Array {
  const size = 2 ** Math.ceil(Math.log2(reference.length + signal.length));
  // Two real signals travel in one complex transform: the reference as real part, the signal as imaginary part.
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  re.set(reference);
  im.set(signal);
  transform(re, im);
  const outRe = new Float64Array(size);
  const outIm = new Float64Array(size);
  for (let k = 0; k < size; k++) {
    const mirror = (size - k) % size;
    const refRe = (re[k]! + re[mirror]!) / 2;
    const refIm = (im[k]! - im[mirror]!) / 2;
    const sigRe = (im[k]! + im[mirror]!) / 2;
    const sigIm = (re[mirror]! - re[k]!) / 2;
    // conj(reference) × signal, conjugated so that the forward transform is the backward one: the result is real.
    outRe[k] = refRe * sigRe + refIm * sigIm;
    outIm[k] = refIm * sigRe - refRe * sigIm;
  }
  transform(outRe, outIm);
  for (let i = 0; i < size; i++) outRe[i] = outRe[i]! / size;
  return outRe;
}

/** Energy of the first i samples, at index i. */
function cumulativeEnergy(samples: Int16Array | Float32Array): Float64Array {
  const energy = new Float64Array(samples.length + 1);
  for (let i = 0; i < samples.length; i++) energy[i + 1] = energy[i]! + samples[i]! * samples[i]!;
  return energy;
}
