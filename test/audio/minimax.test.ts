import { expect, test } from 'vitest';
import { designLowPass } from '../../scripts/minimax.ts';
import { gainAt } from '../support/reference-resampler.ts';

test('the error is as large in the stop band as the weight says, and alternates as often as it can', () => {
  const spec = { delay: 20, passEdge: 0.1, stopEdge: 0.15, stopWeight: 10 };
  const impulse = designLowPass(spec);
  expect(impulse).toHaveLength(41);
  // Undo the scaling to a gain of 1 at 0 Hz: half way between the extremes of the pass band is the designed gain of 1.
  const sweep = (from: number, to: number) =>
    Array.from({ length: 5001 }, (_, i) => gainAt(impulse, from + ((to - from) * i) / 5000));
  const pass = sweep(0, spec.passEdge);
  const stop = sweep(spec.stopEdge, 0.5);
  const unit = (Math.max(...pass) + Math.min(...pass)) / 2;
  const passError = Math.max(...pass) / unit - 1;
  const stopError = Math.max(...stop.map(Math.abs)) / unit;
  expect(passError / stopError).toBeCloseTo(spec.stopWeight, 0);
  // Chebyshev's criterion for the optimum: at least delay + 2 extrema of full size, with alternating signs.
  const errors = [...pass.map((gain) => gain / unit - 1), ...stop.map((gain) => (gain / unit) * spec.stopWeight)];
  let extrema = 0;
  let sign = 0;
  for (const error of errors) {
    if (Math.abs(error) < 0.99 * passError || Math.sign(error) === sign) continue;
    sign = Math.sign(error);
    extrema++;
  }
  expect(extrema).toBeGreaterThanOrEqual(spec.delay + 2);
});
