/**
 * Design of linear-phase low-pass filters with the smallest largest error (Parks and McClellan, 1972): the Remez
 * exchange on a dense grid of frequencies, with the barycentric form of Lagrange's interpolation in cos ω.
 *
 * Against a Kaiser window, which makes the pass band as exact as the stop band is deep, the weighting buys the same
 * stop band with a quarter to a third fewer taps.
 */

/** What a low-pass filter shall do. Frequencies are in cycles a sample, 0 to 0.5. */
export interface LowPassSpec {
  /** Group delay in samples; the filter has `2 × delay + 1` taps. */
  readonly delay: number;
  /** Upper edge of the pass band, where the response is 1. */
  readonly passEdge: number;
  /** Lower edge of the stop band, where the response is 0. */
  readonly stopEdge: number;
  /** How many times smaller the largest error shall be in the stop band than in the pass band. */
  readonly stopWeight: number;
}

const GRID_DENSITY = 16;
const MAX_ITERATIONS = 50;
/** The errors at the extrema count as equal once they differ by less than this part of the largest. */
const EQUAL_RIPPLE = 1e-4;

interface Grid {
  /** cos ω at each point, falling. */
  readonly x: Float64Array;
  /** Points `0 … passPoints − 1` are in the pass band, the others in the stop band. */
  readonly passPoints: number;
  readonly stopWeight: number;
}

/** The response as the polynomial in x = cos ω through the points (`x`, `y`). */
interface Interpolant {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly weights: Float64Array;
}

/**
 * Designs a symmetric low-pass filter of odd length.
 *
 * @returns the impulse response, scaled to a gain of exactly 1 at 0 Hz.
 * @throws {Error} when the exchange does not settle: the specification is out of the method's reach.
 */
export function designLowPass(spec: LowPassSpec): Float64Array {
  const grid = makeGrid(spec);
  const points = grid.x.length;
  const extrema = spec.delay + 2;
  let chosen = Int32Array.from({ length: extrema }, (_, i) => Math.round((i * (points - 1)) / (extrema - 1)));
  const error = new Float64Array(points);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    const { interpolant, deviation } = interpolate(grid, chosen);
    for (let i = 0; i < points; i++) {
      error[i] = weightAt(grid, i) * (evaluate(interpolant, grid.x[i]!) - desiredAt(grid, i));
    }
    chosen = findExtrema(grid, error, extrema);
    let largest = 0;
    for (const i of chosen) largest = Math.max(largest, Math.abs(error[i]!));
    if (largest - deviation <= EQUAL_RIPPLE * largest) return impulseResponse(interpolant, spec.delay);
  }
  throw new Error(`the filter design did not settle in ${MAX_ITERATIONS} iterations: ${JSON.stringify(spec)}`);
}

function makeGrid({ delay, passEdge, stopEdge, stopWeight }: LowPassSpec): Grid {
  const points = GRID_DENSITY * (delay + 1);
  const stopWidth = 0.5 - stopEdge;
  const passPoints = Math.round((points * passEdge) / (passEdge + stopWidth));
  const stopPoints = points - passPoints;
  const x = Float64Array.from({ length: points }, (_, i) => {
    const frequency =
      i < passPoints ? (passEdge * i) / (passPoints - 1) : stopEdge + (stopWidth * (i - passPoints)) / (stopPoints - 1);
    return Math.cos(2 * Math.PI * frequency);
  });
  return { x, passPoints, stopWeight };
}

function desiredAt(grid: Grid, point: number): number {
  return point < grid.passPoints ? 1 : 0;
}

function weightAt(grid: Grid, point: number): number {
  return point < grid.passPoints ? 1 : grid.stopWeight;
}

/** The response whose weighted error at the chosen points is the same in size and alternates in sign. */
function interpolate(grid: Grid, chosen: Int32Array): { interpolant: Interpolant; deviation: number } {
  const count = chosen.length;
  const x = Float64Array.from(chosen, (point) => grid.x[point]!);
  const weights = new Float64Array(count);
  let numerator = 0;
  let denominator = 0;
  for (let i = 0; i < count; i++) {
    // The points fill almost all of [−1, 1], whose logarithmic capacity is 1/2: factors of 2 keep the product in range.
    let product = 1;
    for (let j = 0; j < count; j++) if (j !== i) product *= 2 * (x[i]! - x[j]!);
    weights[i] = 1 / product;
    const sign = i % 2 === 0 ? 1 : -1;
    numerator += weights[i]! * desiredAt(grid, chosen[i]!);
    denominator += (weights[i]! * sign) / weightAt(grid, chosen[i]!);
  }
  const deviation = numerator / denominator;
  const y = Float64Array.from(chosen, (point, i) => {
    const sign = i % 2 === 0 ? 1 : -1;
    return desiredAt(grid, point) - (sign * deviation) / weightAt(grid, point);
  });
  // One point fewer determines the polynomial; dropping the last one changes the weights of the others.
  const last = count - 1;
  const interpolant = {
    x: x.subarray(0, last),
    y: y.subarray(0, last),
    weights: weights.subarray(0, last).map((weight, i) => weight * (x[i]! - x[last]!)),
  };
  return { interpolant, deviation: Math.abs(deviation) };
}

function evaluate({ x, y, weights }: Interpolant, at: number): number {
  let numerator = 0;
  let denominator = 0;
  for (let i = 0; i < x.length; i++) {
    const distance = at - x[i]!;
    if (Math.abs(distance) < 1e-15) return y[i]!;
    const part = weights[i]! / distance;
    numerator += part * y[i]!;
    denominator += part;
  }
  return numerator / denominator;
}

/** The `count` grid points at which the error is extremal, alternating in sign. */
function findExtrema(grid: Grid, error: Float64Array, count: number): Int32Array<ArrayBuffer> {
  const last = error.length - 1;
  const found: number[] = [];
  for (let i = 0; i <= last; i++) {
    const sign = Math.sign(error[i]!);
    const isBandStart = i === 0 || i === grid.passPoints;
    const isBandEnd = i === last || i === grid.passPoints - 1;
    const isPeak =
      (isBandStart || sign * (error[i]! - error[i - 1]!) >= 0) && (isBandEnd || sign * (error[i]! - error[i + 1]!) > 0);
    if (!isPeak) continue;
    const previous = found.at(-1);
    if (previous === undefined || Math.sign(error[previous]!) !== sign) found.push(i);
    else if (Math.abs(error[i]!) > Math.abs(error[previous]!)) found[found.length - 1] = i;
  }
  // Taking surplus points from the ends alone keeps the signs alternating.
  let start = 0;
  let end = found.length;
  while (end - start > count) {
    if (Math.abs(error[found[start]!]!) < Math.abs(error[found[end - 1]!]!)) start++;
    else end--;
  }
  if (end - start < count) throw new Error(`the filter design found ${end - start} of ${count} extrema`);
  return Int32Array.from(found.slice(start, end));
}

/** Samples the response at as many frequencies as there are taps and transforms it back. */
function impulseResponse(interpolant: Interpolant, delay: number): Float64Array {
  const taps = 2 * delay + 1;
  const response = Float64Array.from({ length: delay + 1 }, (_, k) =>
    evaluate(interpolant, Math.cos((2 * Math.PI * k) / taps)),
  );
  const gain = response[0]!;
  const impulse = new Float64Array(taps);
  for (let n = 0; n <= delay; n++) {
    let sum = gain;
    for (let k = 1; k <= delay; k++) sum += 2 * response[k]! * Math.cos((2 * Math.PI * k * (delay - n)) / taps);
    impulse[n] = sum / (taps * gain);
    impulse[taps - 1 - n] = impulse[n]!;
  }
  return impulse;
}
