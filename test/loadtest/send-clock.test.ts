import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SendClock } from '../../loadtest/send-clock.ts';
import { monotonicNowMs } from '../../src/clock.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
});
afterEach(() => vi.useRealTimers());

function sender() {
  const steps: number[] = [];
  return { steps, step: (nowMs: number) => void steps.push(nowMs) };
}

it('serves each sender once a period, at its own time, with one timer', () => {
  const clock = new SendClock(20);
  const startMs = monotonicNowMs();
  const senders = [0, 7, 7.5, 13].map((phaseMs) => {
    const one = sender();
    return { ...one, dueMs: clock.add(one, startMs + phaseMs) };
  });
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1_000);
  for (const { steps, dueMs } of senders) {
    const phaseMs = dueMs - startMs;
    expect(steps.length).toBeGreaterThanOrEqual(49);
    for (const [i, atMs] of steps.entries()) {
      const lateMs = atMs - startMs - phaseMs - i * 20;
      expect(lateMs).toBeGreaterThanOrEqual(-1e-6);
      expect(lateMs).toBeLessThan(2);
    }
  }
  expect(senders.map(({ dueMs }) => Math.round(dueMs - startMs))).toEqual([0, 8, 8, 14]);
});

it('serves nobody who left, and has no timer without senders', () => {
  const clock = new SendClock(20);
  const startMs = monotonicNowMs();
  const [stays, leaves] = [sender(), sender()];
  clock.add(stays, startMs);
  clock.add(leaves, startMs + 10);
  vi.advanceTimersByTime(100);
  clock.remove(leaves);
  clock.remove(leaves);
  const [before, left] = [stays.steps.length, leaves.steps.length];
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(200);
  expect(stays.steps.length - before).toBeGreaterThanOrEqual(9);
  expect(leaves.steps.length).toBe(left);
  clock.remove(stays);
  expect(vi.getTimerCount()).toBe(0);
});
