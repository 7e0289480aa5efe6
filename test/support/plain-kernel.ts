import type { PolyphaseBank } from '../../src/audio/filter.ts';
import { TAP_BITS } from '../../src/audio/prototypes.ts';

/** Taps of a bank as doubles, laid out for {@link plainConvolve}. */
export interface PlainBank {
  readonly phases: number;
  readonly step: number;
  readonly taps: number;
  /**
   * Taps of all phases, phase after phase. A phase is split further into `step` *lanes*: lane j holds the taps that
   * meet the samples j, j + M, j + 2M … of a window of `taps` input samples, oldest first. The tap for sample
   * j + gM of phase p stands at `p × taps + j × taps/M + g`.
   */
  readonly coefficients: Float64Array;
}

/** Lays a bank out for {@link plainConvolve}. */
export function plainBank({ phases, step, taps, coefficients }: PolyphaseBank): PlainBank {
  const lane = taps / step;
  const laid = new Float64Array(coefficients.length);
  for (let phase = 0; phase < phases; phase++) {
    for (let sample = 0; sample < taps; sample++) {
      const at = phase * taps + (sample % step) * lane + Math.floor(sample / step);
      laid[at] = coefficients[phase * taps + sample]! / 2 ** TAP_BITS;
    }
  }
  return { phases, step, taps, coefficients: laid };
}

let window = new Float64Array(8192);

/**
 * The kernel's twin in plain JavaScript: what the WebAssembly is checked against, and how fast the same filter goes
 * without it.
 *
 * Samples `r, r + L, r + 2L …` of the output belong to the same phase, and their windows start M input samples apart.
 * With the window split into M lanes (lane j holds the samples j, j + M, j + 2M …) each lane is an ordinary
 * convolution: the windows of neighbouring outputs are one sample apart. So four outputs are computed at a time, and a
 * tap or a sample once loaded serves all four. Sums of taps of 26 bits times samples of 16 are exact in a double.
 *
 * @param history the `taps − 1` input samples before the block.
 * @param input the block.
 * @param ticks where the first output sample lies: its newest input sample is number `⌊ticks / L⌋` of the block.
 * @param output filled with consecutive output samples; the last one's newest input sample must be in the block.
 */
export function plainConvolve(
  bank: PlainBank,
  history: Int16Array,
  input: Int16Array,
  ticks: number,
  output: Int16Array,
): void {
  const { phases, step, taps, coefficients } = bank;
  const stride = Math.ceil((history.length + input.length) / step);
  if (window.length < (stride + 1) * step) window = new Float64Array((stride + 1) * step);
  fillLanes(history, input, step, stride);
  const laneTaps = (taps / step) | 0;
  const count = output.length;
  for (let r = 0; r < phases && r < count; r++) {
    const tick = ticks + r * step;
    const phase = tick % phases;
    const start = (tick - phase) / phases;
    const firstTap = phase * taps;
    let at = r;
    let shift = 0;
    for (; at + 3 * phases < count; at += 4 * phases, shift += 4) {
      let sum0 = 0;
      let sum1 = 0;
      let sum2 = 0;
      let sum3 = 0;
      for (let lane = 0; lane < step; lane++) {
        const from = (start + lane) % step;
        // `| 0` tells the compiler that indexes stay 32-bit integers: without overflow checks the loop is a fifth faster.
        const w = (from * stride + (start + lane - from) / step + shift) | 0;
        const c = (firstTap + lane * laneTaps) | 0;
        let x0 = window[w]!;
        let x1 = window[w + 1]!;
        let x2 = window[w + 2]!;
        for (let g = 0; g < laneTaps; g += 4) {
          const cg = (c + g) | 0;
          const wg = (w + g) | 0;
          const c0 = coefficients[cg]!;
          const x3 = window[(wg + 3) | 0]!;
          sum0 += c0 * x0;
          sum1 += c0 * x1;
          sum2 += c0 * x2;
          sum3 += c0 * x3;
          const c1 = coefficients[(cg + 1) | 0]!;
          const x4 = window[(wg + 4) | 0]!;
          sum0 += c1 * x1;
          sum1 += c1 * x2;
          sum2 += c1 * x3;
          sum3 += c1 * x4;
          const c2 = coefficients[(cg + 2) | 0]!;
          const x5 = window[(wg + 5) | 0]!;
          sum0 += c2 * x2;
          sum1 += c2 * x3;
          sum2 += c2 * x4;
          sum3 += c2 * x5;
          const c3 = coefficients[(cg + 3) | 0]!;
          const x6 = window[(wg + 6) | 0]!;
          sum0 += c3 * x3;
          sum1 += c3 * x4;
          sum2 += c3 * x5;
          sum3 += c3 * x6;
          x0 = x4;
          x1 = x5;
          x2 = x6;
        }
      }
      output[at] = toInt16(sum0);
      output[at + phases] = toInt16(sum1);
      output[at + 2 * phases] = toInt16(sum2);
      output[at + 3 * phases] = toInt16(sum3);
    }
    for (; at < count; at += phases, shift++) {
      let sum = 0;
      for (let lane = 0; lane < step; lane++) {
        const from = (start + lane) % step;
        const w = from * stride + (start + lane - from) / step + shift;
        const c = firstTap + lane * laneTaps;
        for (let g = 0; g < laneTaps; g++) sum += coefficients[c + g]! * window[w + g]!;
      }
      output[at] = toInt16(sum);
    }
  }
}

/** Splits history and input into `step` lanes, `stride` apart. */
function fillLanes(history: Int16Array, input: Int16Array, step: number, stride: number): void {
  if (step === 1) {
    window.set(history);
    window.set(input, history.length);
    return;
  }
  for (let lane = 0; lane < step; lane++) {
    let at = lane * stride;
    let i = lane;
    for (; i < history.length; i += step) window[at++] = history[i]!;
    for (i -= history.length; i < input.length; i += step) window[at++] = input[i]!;
  }
}

/** Rounds to the nearest sample value (halves upwards); what is beyond the range becomes its nearest end. */
function toInt16(value: number): number {
  if (value >= 32767) return 32767;
  if (value <= -32768) return -32768;
  return Math.floor(value + 0.5);
}
