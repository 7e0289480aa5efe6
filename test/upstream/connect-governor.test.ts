import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { monotonicNowMs } from '../../src/clock.ts';
import { ConnectGovernor } from '../../src/upstream/connect-governor.ts';
import type { ConnectPermit, ConnectResult } from '../../src/upstream/host.ts';

const FAILURES_TO_OPEN = 3;
const OPEN_MS = 2_000;
const PERMIT_MS = 15_000;
const NEVER = new AbortController().signal;

let governor: ConnectGovernor;
let permits: { name: number; atMs: number; permit: ConnectPermit }[];
let asked: number;
let startMs: number;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  startMs = monotonicNowMs();
  governor = new ConnectGovernor({
    perSecond: 10,
    failuresToOpen: FAILURES_TO_OPEN,
    openMs: OPEN_MS,
    permitMs: PERMIT_MS,
  });
  permits = [];
  asked = 0;
});
afterEach(() => {
  governor.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

interface Asking {
  readonly signal?: AbortSignal;
  readonly withinMs?: number;
}

function ask(count = 1, { signal = NEVER, withinMs = Number.POSITIVE_INFINITY }: Asking = {}): void {
  for (let i = 0; i < count; i++) {
    const name = ++asked;
    void governor.permit({ signal, endsAtMs: monotonicNowMs() + withinMs }).then(
      (permit) => permits.push({ name, atMs: Math.round(monotonicNowMs() - startMs), permit }),
      () => {},
    );
  }
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const names = () => permits.map(({ name }) => name);
const times = () => permits.map(({ name, atMs }) => ({ name, atMs }));

/** Takes so many permits, and tells the same of each. */
async function settle(count: number, result: ConnectResult): Promise<void> {
  ask(count);
  await pass(count * 100);
  for (const { permit } of permits.splice(0)) permit.settle(result);
  asked = 0;
}

describe('ConnectGovernor', () => {
  it('lets the first through at once', async () => {
    ask();
    await pass(0);
    expect(times()).toEqual([{ name: 1, atMs: 0 }]);
  });

  it('spaces those that ask at once, in their order', async () => {
    ask(5);
    await pass(1000);
    expect(times()).toEqual([1, 2, 3, 4, 5].map((name) => ({ name, atMs: (name - 1) * 100 })));
  });

  it('lets those go first that have the least time left, but none that has too little to connect', async () => {
    ask();
    ask(1, { withinMs: 45_000 });
    ask(1, { withinMs: 10_000 });
    ask(1, { withinMs: 1_250 });
    await pass(0);
    ask(1, { withinMs: 150 });
    await pass(1000);
    expect(names()).toEqual([1, 4, 3, 2]);
  });

  it('does not save up what was not used', async () => {
    ask();
    await pass(10_000);
    ask(3);
    await pass(150);
    expect(permits.slice(1).map(({ atMs }) => atMs - 10_000)).toEqual([0, 100]);
  });

  it('gives the turn of a permit that is not used to the next', async () => {
    ask(3);
    await pass(10);
    permits[0]!.permit.settle('unused');
    await pass(0);
    expect(times()).toEqual([
      { name: 1, atMs: 0 },
      { name: 2, atMs: 10 },
    ]);
    // A second word about the same permit means nothing.
    permits[0]!.permit.settle('unused');
    await pass(99);
    expect(permits).toHaveLength(2);
  });

  it('forgets who no longer waits', async () => {
    const giving = new AbortController();
    ask();
    ask(3, { signal: giving.signal });
    ask();
    const refused = governor.permit({ signal: giving.signal, endsAtMs: Number.POSITIVE_INFINITY });
    giving.abort(new Error('the call is over'));
    await expect(refused).rejects.toThrow('the call is over');
    await expect(governor.permit({ signal: giving.signal, endsAtMs: 0 })).rejects.toThrow('the call is over');
    expect(governor.waitingCount).toBe(1);
    await pass(100);
    expect(times()).toEqual([
      { name: 1, atMs: 0 },
      { name: 5, atMs: 100 },
    ]);
  });

  it('takes a refusal for an answer, and failures for one only in a row', async () => {
    await settle(FAILURES_TO_OPEN - 1, 'unavailable');
    await settle(1, 'refused');
    await settle(FAILURES_TO_OPEN - 1, 'timeout');
    await settle(5, 'given_up');
    expect(governor.isOpen).toBe(false);
    await settle(1, 'rate_limited');
    expect(governor.isOpen).toBe(true);
  });

  it('turns away who waits when it is closed, and who comes later', async () => {
    ask();
    const waiting = governor.permit({ signal: NEVER, endsAtMs: Number.POSITIVE_INFINITY });
    governor.close();
    governor.close();
    await expect(waiting).rejects.toThrow('closing');
    await expect(governor.permit({ signal: NEVER, endsAtMs: 0 })).rejects.toThrow('closing');
  });
});

describe('an upstream that is down', () => {
  beforeEach(() => settle(FAILURES_TO_OPEN, 'unavailable'));

  it('is tried by one at a time, now and then, until it answers', async () => {
    ask(4);
    await pass(OPEN_MS - 1);
    expect(permits).toEqual([]);
    await pass(1);
    expect(names()).toEqual([1]);
    // However long that takes: nobody else tries meanwhile.
    await pass(5 * OPEN_MS);
    expect(names()).toEqual([1]);
    permits[0]!.permit.settle('timeout');
    await pass(OPEN_MS - 1);
    expect(names()).toEqual([1]);
    await pass(1);
    expect(names()).toEqual([1, 2]);
    permits[1]!.permit.settle('ok');
    expect(governor.isOpen).toBe(false);
    await pass(200);
    expect(names()).toEqual([1, 2, 3, 4]);
  });

  it('is tried by whoever has the most time left', async () => {
    ask(1, { withinMs: 10_000 });
    ask(1, { withinMs: 45_000 });
    ask(1, { withinMs: 20_000 });
    await pass(OPEN_MS);
    expect(names()).toEqual([2]);
  });

  it.each(['unused', 'given_up'] as const)('is tried by the next when a try was %s', async (result) => {
    ask(2);
    await pass(OPEN_MS);
    expect(names()).toEqual([1]);
    permits[0]!.permit.settle(result);
    await pass(100);
    expect(names()).toEqual([1, 2]);
  });

  it('is tried by the next when the result of a try never comes', async () => {
    ask(2);
    await pass(OPEN_MS + PERMIT_MS - 1);
    expect(names()).toEqual([1]);
    await pass(1);
    expect(names()).toEqual([1, 2]);
    // What comes too late is no news.
    permits[0]!.permit.settle('ok');
    expect(governor.isOpen).toBe(true);
  });

  it('is tried at once by whoever comes when it has been left alone for long enough', async () => {
    await pass(OPEN_MS);
    ask();
    await pass(0);
    expect(names()).toEqual([1]);
  });
});

it('those that were under way when it was found to be down do not put the next try off', async () => {
  ask(8);
  await pass(700);
  expect(permits).toHaveLength(8);
  ask();
  for (const { permit } of permits.slice(0, FAILURES_TO_OPEN)) permit.settle('unavailable');
  for (const { permit } of permits.slice(FAILURES_TO_OPEN)) {
    await pass(300);
    permit.settle('timeout');
  }
  await pass(OPEN_MS - 5 * 300);
  expect(names().at(-1)).toBe(9);
});
