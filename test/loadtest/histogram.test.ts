import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../loadtest/histogram.ts';

function exactQuantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1]!;
}

describe('a latency histogram', () => {
  it('finds quantiles to within half a bucket, for any values', () => {
    const value = fc.double({ min: 0.03, max: 60_000, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 500 }),
        fc.constantFrom(0.01, 0.5, 0.95, 0.99),
        (values, q) => {
          const histogram = new LatencyHistogram();
          for (const ms of values) histogram.add(ms);
          const exact = exactQuantile(values, q);
          expect(Math.abs(histogram.quantile(q) - exact) / exact).toBeLessThan(0.045);
        },
      ),
    );
  });

  it('knows count, mean and the greatest value exactly', () => {
    const histogram = new LatencyHistogram();
    for (const ms of [1, 2, 3, 1_234.5]) histogram.add(ms);
    expect(histogram.count).toBe(4);
    expect(histogram.mean).toBeCloseTo(310.125);
    expect(histogram.max).toBe(1_234.5);
    expect(histogram.quantile(1)).toBe(1_234.5);
  });

  it('counts what is above a limit', () => {
    const histogram = new LatencyHistogram();
    for (let ms = 1; ms <= 100; ms++) histogram.add(ms);
    expect(histogram.countAbove(50)).toBeGreaterThan(45);
    expect(histogram.countAbove(50)).toBeLessThanOrEqual(50);
  });

  it('takes values outside its range at its ends', () => {
    const histogram = new LatencyHistogram();
    histogram.add(-5);
    histogram.add(0);
    histogram.add(1e9);
    expect(histogram.count).toBe(3);
    expect(histogram.quantile(0.3)).toBeLessThan(0.05);
    expect(histogram.max).toBe(1e9);
  });

  it('is empty when nothing was added, and after it was drained', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.quantile(0.99)).toBe(0);
    histogram.add(7);
    histogram.drain();
    expect(histogram.count).toBe(0);
    expect(histogram.max).toBe(0);
    expect(histogram.quantile(0.5)).toBe(0);
  });

  it('merges what others drained as if all had been added to it', () => {
    const whole = new LatencyHistogram();
    const merged = new LatencyHistogram();
    for (const start of [1, 40, 900]) {
      const part = new LatencyHistogram();
      for (let i = 0; i < 50; i++) {
        part.add(start + i);
        whole.add(start + i);
      }
      merged.merge(part.drain());
    }
    expect(merged.count).toBe(whole.count);
    expect(merged.mean).toBeCloseTo(whole.mean);
    for (const q of [0.1, 0.5, 0.95, 0.99, 1]) expect(merged.quantile(q)).toBe(whole.quantile(q));
  });
});
