import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectGovernor } from '../../src/main/connect-governor.ts';

const FAILURES_TO_OPEN = 3;
const OPEN_MS = 2_000;

let governor: ConnectGovernor;
let permits: { name: number; atMs: number }[];
let asked: number;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  governor = new ConnectGovernor({ perSecond: 10, failuresToOpen: FAILURES_TO_OPEN, openMs: OPEN_MS });
  permits = [];
  asked = 0;
});
afterEach(() => {
  governor.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function ask(count = 1): void {
  for (let i = 0; i < count; i++) {
    const name = ++asked;
    void governor.permit().then(
      () => permits.push({ name, atMs: Date.now() }),
      () => {},
    );
  }
}
function fail(count: number): void {
  for (let i = 0; i < count; i++) governor.result('unavailable');
}

describe('ConnectGovernor', () => {
  it('lets the first through at once', async () => {
    ask();
    await vi.advanceTimersByTimeAsync(0);
    expect(permits).toEqual([{ name: 1, atMs: 0 }]);
  });

  it('spaces those that ask at once, in their order', async () => {
    ask(5);
    await vi.advanceTimersByTimeAsync(1000);
    expect(permits).toEqual([1, 2, 3, 4, 5].map((name) => ({ name, atMs: (name - 1) * 100 })));
  });

  it('does not save up what was not used', async () => {
    ask();
    await vi.advanceTimersByTimeAsync(10_000);
    ask(3);
    await vi.advanceTimersByTimeAsync(150);
    expect(permits.slice(1).map(({ atMs }) => atMs - 10_000)).toEqual([0, 100]);
  });

  it('asks an upstream that is down now and then, however many wait, until it answers', async () => {
    fail(FAILURES_TO_OPEN);
    expect(governor.isOpen).toBe(true);
    ask(4);
    await vi.advanceTimersByTimeAsync(OPEN_MS - 1);
    expect(permits).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(permits).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(OPEN_MS - 1);
    expect(permits).toHaveLength(1);
    governor.result('ok');
    expect(governor.isOpen).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(permits.map(({ name }) => name)).toEqual([1, 2, 3, 4]);
  });

  it('waits anew after each failure', async () => {
    fail(FAILURES_TO_OPEN);
    ask(2);
    await vi.advanceTimersByTimeAsync(OPEN_MS);
    await vi.advanceTimersByTimeAsync(1_500);
    governor.result('timeout');
    await vi.advanceTimersByTimeAsync(OPEN_MS - 1);
    expect(permits).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(permits).toHaveLength(2);
  });

  it('keeps back those that waited when it was found to be down', async () => {
    ask(10);
    await vi.advanceTimersByTimeAsync(250);
    expect(permits).toHaveLength(3);
    fail(FAILURES_TO_OPEN);
    await vi.advanceTimersByTimeAsync(OPEN_MS - 1);
    expect(permits).toHaveLength(3);
  });

  it('takes a refusal for an answer, and failures for one only in a row', () => {
    fail(FAILURES_TO_OPEN - 1);
    governor.result('refused');
    fail(FAILURES_TO_OPEN - 1);
    expect(governor.isOpen).toBe(false);
    governor.result('rate_limited');
    expect(governor.isOpen).toBe(true);
  });

  it('turns away who waits when it is closed, and who comes later', async () => {
    ask();
    const waiting = governor.permit();
    governor.close();
    governor.close();
    await expect(waiting).rejects.toThrow('closing');
    await expect(governor.permit()).rejects.toThrow('closing');
  });
});
