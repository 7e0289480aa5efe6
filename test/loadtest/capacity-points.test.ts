import { describe, expect, it } from 'vitest';
import { type CapacityResult, capacityMarkdown, keyOf, pointsOf, withTables } from '../../loadtest/capacity-points.ts';

const QUANTILES = { count: 1, p50: 1.04, p95: 2, p99: 123.4, max: 200 };

function result(calls: number, more: Partial<CapacityResult> = {}): CapacityResult {
  return {
    point: { calls, sessionWorkers: 2, mode: 'poll1', keepAlive: true, tls: false, deltaMs: 200 },
    measuredAt: '2026-01-01T00:00:00Z',
    machine: { cpu: 'a CPU', cores: 2, memoryMb: 1, node: 'v26' },
    steadySeconds: 50,
    cpuPercent: 40.4,
    cpuPercentPerCall: 0.404,
    rssMb: 300,
    rssMbPerCall: 0.8,
    loopP99Ms: 2,
    uplink: QUANTILES,
    downlink: null,
    e2e: QUANTILES,
    stream: QUANTILES,
    errors: 0,
    gaps: 0,
    lostSamples: 0,
    heldBack: 0,
    simulatorCpuPercent: 5,
    generatorCpuPercent: 30,
    generatorLatenessP99Ms: 1.2,
    generatorSaturated: false,
    ...more,
  };
}

describe('the matrix', () => {
  it('has every combination once, the calls of a setting together', () => {
    const points = pointsOf({
      calls: [10, 50],
      sessionWorkers: ['dedicated', 2],
      modes: ['poll1', 'longpoll'],
      keepAlive: [true, false],
      tls: [false, true],
      deltaMs: [200],
    });
    expect(points).toHaveLength(32);
    expect(new Set(points.map(keyOf)).size).toBe(32);
    expect(points.slice(0, 2).map(({ calls }) => calls)).toEqual([10, 50]);
    expect(keyOf(points[0]!)).toBe('dedicated, poll1, keep-alive, ws, deltas of 200 ms, 10 calls');
    expect(keyOf(points.at(-1)!)).toBe('2, longpoll, no keep-alive, wss, deltas of 200 ms, 50 calls');
  });
});

describe('the tables', () => {
  it('have a row for each number of calls, rising, and mark what is not to be believed', () => {
    const text = capacityMarkdown([result(100, { generatorSaturated: true }), result(10)]);
    const rows = text.split('\n').filter((line) => /^\| \d/.test(line));
    expect(rows).toHaveLength(2);
    expect(rows[0]).toBe('| 10 | 0.40 | 40 | 0.80 | 1.0 / 2.0 / 123 | – | 1.0 / 123 | 123 | 2.0 | 0 | 0 | 0 | 1.2 |');
    expect(rows[1]).toContain('**saturated**');
    expect(text.split('\n')[0]).toBe(
      'Measured on a CPU, 2 cores, Node v26, 2026-01-01. Latencies are milliseconds, CPU is in % of one core.',
    );
    expect(text).toContain('### 2 session workers, poll1, keep-alive, upstream ws with deltas of 200 ms');
  });

  it('are put between their marks and leave the rest of the page alone', () => {
    const first = withTables('# Capacity\n\nMethod.\n', 'A');
    expect(first).toBe('# Capacity\n\nMethod.\n\n<!-- measured: begin -->\n\nA\n\n<!-- measured: end -->\n');
    const page = first.replace('Method.', 'Another method.').concat('\nWhat it means.\n');
    const second = withTables(page, 'B');
    expect(second).toContain('Another method.');
    expect(second).toContain('What it means.');
    expect(second).toContain('\n\nB\n\n');
    expect(second).not.toContain('\n\nA\n\n');
    expect(withTables('', 'C')).toBe('<!-- measured: begin -->\n\nC\n\n<!-- measured: end -->\n');
  });
});
