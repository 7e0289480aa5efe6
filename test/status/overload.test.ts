import { describe, expect, it } from 'vitest';
import { defaultRssLimitMb, OverloadGuard, processProbes } from '../../src/status/overload.ts';

function guard(load: { eventLoopMs: number; poolQueue: number; rssMb: number }) {
  const changes: (string | undefined)[] = [];
  const it = new OverloadGuard({
    limits: { eventLoopMs: 100, poolQueue: 50, rssMb: 1000 },
    probes: { eventLoopMs: () => load.eventLoopMs, poolQueue: () => load.poolQueue, rssMb: () => load.rssMb },
    onChange: (reason) => changes.push(reason),
  });
  // The samples are the test's, not the clock's.
  it.close();
  return {
    guard: it,
    changes,
    samples(count: number) {
      for (let i = 0; i < count; i++) it.sample();
    },
  };
}

const QUIET = { eventLoopMs: 2, poolQueue: 3, rssMb: 200 };

describe('OverloadGuard', () => {
  it('takes calls under an ordinary load', () => {
    const { guard: overload, samples, changes } = guard({ ...QUIET });
    samples(20);
    expect(overload.reason).toBeUndefined();
    expect(changes).toEqual([]);
  });

  it('refuses calls while the event loop is late on average, and takes them again afterwards', () => {
    const load = { ...QUIET, eventLoopMs: 180 };
    const { guard: overload, samples, changes } = guard(load);
    samples(3);
    expect(overload.reason).toBeUndefined();
    samples(1);
    expect(overload.reason).toBe('the gateway is overloaded: its event loop is 180 ms late, its limit is 100');
    load.eventLoopMs = 0;
    samples(4);
    expect(overload.reason).toBeUndefined();
    expect(changes).toEqual(['the gateway is overloaded: its event loop is 180 ms late, its limit is 100', undefined]);
  });

  it('does not mind one long pause', () => {
    const load = { ...QUIET };
    const { guard: overload, samples } = guard(load);
    samples(4);
    load.eventLoopMs = 300;
    samples(1);
    load.eventLoopMs = 2;
    samples(1);
    expect(overload.reason).toBeUndefined();
  });

  it('refuses calls when jobs have waited for the pool all the time, not when there was a burst', () => {
    const load = { ...QUIET, poolQueue: 80 };
    const { guard: overload, samples } = guard(load);
    samples(4);
    expect(overload.reason).toBe('the gateway is overloaded: 80 audio jobs wait, its limit is 50');
    load.poolQueue = 0;
    samples(1);
    expect(overload.reason).toBeUndefined();
    load.poolQueue = 5000;
    samples(3);
    expect(overload.reason).toBeUndefined();
  });

  it('refuses calls at once when memory runs out', () => {
    const load = { ...QUIET, rssMb: 1200.4 };
    const { guard: overload, samples } = guard(load);
    samples(1);
    expect(overload.reason).toBe('the gateway is overloaded: it uses 1200 MB of memory, its limit is 1000');
    load.rssMb = 900;
    samples(1);
    expect(overload.reason).toBeUndefined();
  });
});

describe('processProbes', () => {
  it('reads this process', async () => {
    const probes = processProbes(() => 7);
    try {
      expect(probes.poolQueue()).toBe(7);
      expect(probes.rssMb()).toBeGreaterThan(10);
      expect(probes.rssMb()).toBeLessThan(defaultRssLimitMb());
      // Nothing has been measured yet.
      expect(probes.eventLoopMs()).toBe(0);
      const until = performance.now() + 300;
      await new Promise((resolve) => setTimeout(resolve, 25));
      while (performance.now() < until);
      await new Promise((resolve) => setTimeout(resolve, 30));
      // A block of about 275 ms is one look of many milliseconds among very few.
      expect(probes.eventLoopMs()).toBeGreaterThan(50);
    } finally {
      probes.close();
    }
  });
});
