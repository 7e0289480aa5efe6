import { expect, it } from 'vitest';
import { Descriptors, descriptorLimit } from '../../src/status/descriptors.ts';
import { OverloadGuard, processProbes } from '../../src/status/overload.ts';

function descriptors(limit: number | undefined, sessionWorkers: 'dedicated' | number = 2) {
  const now = { open: 50, calls: 0 };
  const it = new Descriptors({ sessionWorkers, limit, calls: () => now.calls, countOpen: () => now.open });
  return { it, now };
}

it('leaves room for calls beside the connections of clients', () => {
  // 256 less 32 in reserve and 50 of the daemon's own are 174: two of three, or two of eight with a thread a call.
  expect(descriptors(256, 2).it.maxConnections()).toBe(116);
  expect(descriptors(256, 'dedicated').it.maxConnections()).toBe(43);
  expect(descriptors(undefined).it.maxConnections()).toBe(Number.POSITIVE_INFINITY);
});

it('says when there are none for another call, and counts the calls that have just begun', () => {
  const { it: watch, now } = descriptors(256);
  now.open = 221;
  watch.look();
  expect(watch.shortage).toBeUndefined();
  now.calls = 1;
  expect(watch.shortage).toBe('the gateway is overloaded: 221 of its 256 file descriptors are in use');
  now.open = 218;
  watch.look();
  expect(watch.shortage).toBeUndefined();
  now.open = Number.POSITIVE_INFINITY;
  watch.look();
  expect(watch.shortage).toBe('the gateway is overloaded: 256 of its 256 file descriptors are in use');
});

it('never says so where no limit is known', () => {
  const { it: watch, now } = descriptors(undefined);
  now.open = 1_000_000;
  watch.look();
  expect(watch.shortage).toBeUndefined();
});

it('knows the limit of this process', () => {
  expect(descriptorLimit()).toBeGreaterThan(10);
});

it('is a reason to refuse calls', () => {
  const { it: watch, now } = descriptors(256);
  const changes: (string | undefined)[] = [];
  const probes = processProbes(() => 0);
  const guard = new OverloadGuard({
    limits: { eventLoopMs: 1e9, poolQueue: 1e9, rssMb: 1e9 },
    probes,
    descriptors: watch,
    onChange: (reason) => changes.push(reason),
  });
  guard.close();
  probes.close();
  guard.sample();
  expect(guard.reason).toBeUndefined();
  now.open = 240;
  guard.sample();
  expect(guard.reason).toMatch(/file descriptors are in use$/);
  now.open = 50;
  guard.sample();
  expect(guard.reason).toBeUndefined();
  expect(changes).toEqual([expect.stringContaining('240 of its 256'), undefined]);
});
