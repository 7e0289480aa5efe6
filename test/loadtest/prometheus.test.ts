import { Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { bucketQuantile, histogramDelta, parseExposition, sumOf } from '../../loadtest/prometheus.ts';

describe('the text format', () => {
  it('is read with labels, infinities and timestamps, whatever stands in label values', () => {
    const scrape = parseExposition(
      [
        '# HELP a_total Things',
        '# TYPE a_total counter',
        'a_total 3',
        'a_total{code="ok} 7",why="a b"} 4.5',
        'b{le="+Inf"} 2 1700000000000',
        'c +Inf',
        'd -Inf',
        '',
      ].join('\n'),
    );
    expect([...scrape]).toEqual([
      ['a_total', 3],
      ['a_total{code="ok} 7",why="a b"}', 4.5],
      ['b{le="+Inf"}', 2],
      ['c', Number.POSITIVE_INFINITY],
      ['d', Number.NEGATIVE_INFINITY],
    ]);
    expect(sumOf('a_total', scrape)).toBe(7.5);
    expect(sumOf('a', scrape)).toBe(0);
  });
});

describe('histograms', () => {
  async function scrapes() {
    const registry = new Registry();
    const histogram = new Histogram({
      name: 'wait_seconds',
      help: 'h',
      buckets: [0.001, 0.01, 0.1],
      labelNames: ['task'],
      registers: [registry],
    });
    histogram.observe({ task: 'up' }, 0.0005);
    const before = parseExposition(await registry.metrics());
    for (let i = 0; i < 90; i++) histogram.observe({ task: 'up' }, 0.005);
    for (let i = 0; i < 10; i++) histogram.observe({ task: 'down' }, 0.05);
    return { before, after: parseExposition(await registry.metrics()) };
  }

  it('are told apart by what came between two scrapes, over all labels', async () => {
    const { before, after } = await scrapes();
    const delta = histogramDelta('wait_seconds', after, before)!;
    expect(delta.edges).toEqual([0.001, 0.01, 0.1, Number.POSITIVE_INFINITY]);
    expect(delta.counts).toEqual([0, 90, 10, 0]);
    expect(delta.sum).toBeCloseTo(90 * 0.005 + 10 * 0.05);
    expect(histogramDelta('wait_seconds', after)!.counts).toEqual([1, 90, 10, 0]);
    expect(histogramDelta('other_seconds', after)).toBeUndefined();
  });

  it('give quantiles as Prometheus does: linear within a bucket', async () => {
    const { before, after } = await scrapes();
    const delta = histogramDelta('wait_seconds', after, before)!;
    expect(bucketQuantile(delta, 0.5)).toBeCloseTo(0.001 + (0.009 * 50) / 90);
    expect(bucketQuantile(delta, 0.9)).toBeCloseTo(0.01);
    expect(bucketQuantile(delta, 0.95)).toBeCloseTo(0.01 + 0.09 * 0.5);
  });

  it('call the last edge what lies beyond it, and nothing what was not observed', () => {
    const edges = [1, 2, Number.POSITIVE_INFINITY];
    expect(bucketQuantile({ edges, counts: [0, 0, 5], sum: 50 }, 0.99)).toBe(2);
    expect(bucketQuantile({ edges, counts: [0, 0, 0], sum: 0 }, 0.99)).toBeUndefined();
    expect(bucketQuantile({ edges, counts: [4, 0, 0], sum: 2 }, 0.5)).toBe(0.5);
  });
});
