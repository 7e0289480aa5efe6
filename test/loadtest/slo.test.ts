import { describe, expect, it } from 'vitest';
import { formatValue, judge, parseSlo } from '../../loadtest/slo.ts';

describe('objectives', () => {
  it.each([
    ['uplink_p99=20ms', 'uplink_p99', 20],
    ['create_p95=1.5s', 'create_p95', 1_500],
    ['e2e_p50<=3ms', 'e2e_p50', 3],
    ['errors=0', 'errors', 0],
    ['error_rate=0.1%', 'error_rate', 0.1],
    ['cpu_per_call=0.65%', 'cpu_per_call', 0.65],
    ['memory_per_call=800kB', 'memory_per_call', 0.8],
    ['memory_per_call=11MB', 'memory_per_call', 11],
    ['altered=0', 'altered', 0],
    ['lost_samples=0', 'lost_samples', 0],
  ])('reads %s', (text, name, limit) => {
    const slo = parseSlo(text);
    expect(slo.metric.name).toBe(name);
    expect(slo.limit).toBeCloseTo(limit);
  });

  it.each(['uplink=20ms', 'uplink_p99', 'uplink_p99>20ms', 'errors=few', 'cpu_per_call=-1%', 'uplink_p99=20MB', ''])(
    'refuses %j',
    (text) => {
      expect(() => parseSlo(text)).toThrow(RangeError);
    },
  );

  it('are met up to and with the limit, and missed beyond it or where nothing was measured', () => {
    const slos = ['errors=2', 'gaps=2', 'uplink_p99=20ms'].map(parseSlo);
    const results = judge(slos, { errors: 2, gaps: 3 });
    expect(results.map(({ name, actual, met }) => [name, actual, met])).toEqual([
      ['errors', 2, true],
      ['gaps', 3, false],
      ['uplink_p99', undefined, false],
    ]);
  });

  it('are shown with their units', () => {
    expect(formatValue(1.234, 'ms')).toBe('1.23 ms');
    expect(formatValue(12.34, 'percent')).toBe('12.3 %');
    expect(formatValue(123.4, 'megabytes')).toBe('123 MB');
    expect(formatValue(7, 'count')).toBe('7');
    expect(formatValue(undefined, 'ms')).toBe('not measured');
  });
});
