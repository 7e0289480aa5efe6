import { describe, expect, it } from 'vitest';
import { Collector } from '../../loadtest/collector.ts';
import { LatencyHistogram } from '../../loadtest/histogram.ts';
import type { GeneratorReport } from '../../loadtest/protocol.ts';
import { thinned } from '../../loadtest/report-html.ts';

function report(second: number, streamMs: number, more: Partial<GeneratorReport> = {}): GeneratorReport {
  const stream = new LatencyHistogram();
  stream.add(streamMs);
  return {
    second,
    activeCalls: 1,
    timings: { stream: stream.drain() },
    counters: { requests: 1 },
    errors: {},
    notes: [],
    cpuSeconds: 0.1 * (second + 1),
    rssBytes: 1e6,
    ...more,
  };
}

describe('the collector', () => {
  it('puts the seconds of several generators together, late ones as well', () => {
    const collector = new Collector(0, (second) => second >= 1);
    for (const second of [0, 1, 2]) collector.takeReport(0, report(second, 10));
    for (const second of [0, 1, 2]) collector.takeReport(1, report(second, 20));
    collector.close();
    expect(collector.rows.map(({ second, calls, requests }) => [second, calls, requests])).toEqual([
      [0, 2, 2],
      [1, 2, 2],
      [2, 2, 2],
    ]);
    expect(collector.rows[1]!.streamP99).toBeCloseTo(20, 0);
    expect(collector.activeCalls).toBe(2);
    expect(collector.steadyCalls).toBe(2);
    expect(collector.generatorCpuSeconds).toBeCloseTo(0.6);
  });

  it('keeps what happened outside the steady state out of its timings, but counts it', () => {
    const collector = new Collector(0, (second) => second >= 1);
    collector.takeReport(0, report(0, 500, { errors: { 'stream timeout': 2 } }));
    collector.takeReport(0, report(1, 5));
    collector.close();
    expect(collector.timings(true).stream.max).toBe(5);
    expect(collector.timings(false).stream.max).toBe(500);
    expect(collector.errors).toEqual({ 'stream timeout': 2 });
    expect(collector.errorCount).toBe(2);
    expect(collector.rows[0]!.errorsByCode).toEqual({ 'stream timeout': 2 });
  });

  it('has a row for each second, whether or not anybody reported', () => {
    const collector = new Collector(0, () => true);
    collector.takeReport(0, report(0, 1));
    collector.takeReport(0, report(9, 1));
    collector.close();
    expect(collector.rows.map(({ second }) => second)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(collector.rows[4]!.streamP50).toBeNull();
  });
});

describe('a long run in the charts', () => {
  it('adds up what happened, keeps the worst, averages the rest', () => {
    const collector = new Collector(0, () => true);
    for (let second = 0; second < 10; second++) {
      const errors: Record<string, number> = second === 3 ? { 'poll 500': 4 } : {};
      collector.takeReport(0, report(second, second === 7 ? 90 : 10, { errors }));
    }
    collector.close();
    const rows = thinned(collector.rows, 2);
    expect(rows.map(({ second }) => second)).toEqual([0, 5]);
    expect(rows[0]).toMatchObject({ errors: 4, errorsByCode: { 'poll 500': 4 }, requests: 5, calls: 1 });
    expect(rows[1]!.streamP99).toBeCloseTo(90, -1);
    expect(thinned(collector.rows, 900)).toHaveLength(10);
  });
});
