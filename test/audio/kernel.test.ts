import { expect, test } from 'vitest';
import { polyphaseBank } from '../../src/audio/filter.ts';
import { SAMPLE_RATES_HZ } from '../../src/audio/format.ts';
import { convolve } from '../../src/audio/kernel.ts';

const PAIRS = SAMPLE_RATES_HZ.flatMap((fromHz) =>
  SAMPLE_RATES_HZ.filter((toHz) => toHz !== fromHz).map((toHz) => ({ fromHz, toHz })),
);

test.each(PAIRS)('$fromHz Hz to $toHz Hz: a sample is summed in one order wherever it stands', ({ fromHz, toHz }) => {
  const { phases, step, taps, delayTicks } = polyphaseBank(fromHz, toHz);
  // Taps that cancel but for what is lost in between: every order of summing gives another result.
  const coefficients = new Float64Array(phases * taps);
  for (let i = 0; i < taps; i++) {
    const lost = (i % 2 === 0 ? 1 : -1) * 2 ** (53 + ((i >> 1) % 4)) + 3 * (i % 7);
    for (let phase = 0; phase < phases; phase++) coefficients[phase * taps + i] = lost;
  }
  const bank = { phases, step, taps, delayTicks, coefficients };
  const history = new Int16Array(taps - 1).fill(1);
  const seen = new Set<number>();
  for (let count = 1; count <= 9 * phases; count++) {
    for (let ticks = 0; ticks < phases; ticks++) {
      const input = new Int16Array(Math.floor((ticks + (count - 1) * step) / phases) + 1).fill(1);
      const output = new Int16Array(count);
      convolve(bank, history, input, ticks, output);
      for (const sample of output) seen.add(sample);
    }
  }
  const reversed = coefficients.subarray(0, taps).toReversed();
  const inOrder = coefficients.subarray(0, taps).reduce((sum, tap) => sum + tap, 0);
  expect(reversed.reduce((sum, tap) => sum + tap, 0)).not.toBe(inOrder);
  expect([...seen]).toEqual([inOrder]);
  expect(Math.abs(inOrder)).toBeLessThan(32_767);
});
