import { describe, expect, it } from 'vitest';
import { SILENCE_AFTER_MS } from '../../../src/workers/session/cadence.ts';
import { SilenceClock, type SilentSession } from '../../../src/workers/session/silence.ts';

class Quiet implements SilentSession {
  silentSinceMs: number | undefined = 0;
  patienceMs = SILENCE_AFTER_MS;
  sentAtMs: number[] = [];

  sendSilence(nowMs: number): void {
    this.sentAtMs.push(nowMs);
  }
}

/** Runs a clock in virtual time, whose timers come `lateMs(nowMs)` late. */
function run(untilMs: number, lateMs: (nowMs: number) => number = () => 0, ...sessions: Quiet[]): void {
  const silence = new SilenceClock(new Map(sessions.map((session, index) => [index, session])));
  let nowMs = 0;
  while (nowMs <= untilMs) {
    const waitMs = silence.tick(nowMs);
    expect(waitMs).toBeLessThanOrEqual(SILENCE_AFTER_MS);
    nowMs += Math.max(1, waitMs);
    nowMs += lateMs(nowMs);
  }
}

describe('SilenceClock', () => {
  it('fills a session once it has been quiet, at the pace of the clock, when it has looked twice', () => {
    const session = new Quiet();
    run(1_000, undefined, session);
    expect(session.sentAtMs).toEqual([350, 450, 550, 650, 750, 850, 950]);
  });

  it('keeps the time of each of many sessions', () => {
    const sessions = Array.from({ length: 10 }, (_, index) => {
      const session = new Quiet();
      session.silentSinceMs = index * 30;
      return session;
    });
    run(2_000, undefined, ...sessions);
    for (const [index, { sentAtMs }] of sessions.entries()) {
      const firstMs = index * 30 + SILENCE_AFTER_MS;
      expect(sentAtMs[0]).toBeGreaterThanOrEqual(firstMs);
      expect(sentAtMs[0]).toBeLessThanOrEqual(firstMs + 50);
      for (const [frame, atMs] of sentAtMs.entries()) expect(atMs).toBe(sentAtMs[0]! + 100 * frame);
    }
  });

  it('fills nothing before a client has sent something', () => {
    const session = new Quiet();
    session.silentSinceMs = undefined;
    run(5_000, (nowMs) => (nowMs === 300 ? 1_000 : 0), session);
    expect(session.sentAtMs).toEqual([]);
  });

  it('fills nothing while a client sends', () => {
    const session = new Quiet();
    const sendEvery200Ms = (nowMs: number) => {
      session.silentSinceMs = nowMs - (nowMs % 200);
      return 0;
    };
    run(5_000, sendEvery200Ms, session);
    expect(session.sentAtMs).toEqual([]);
  });

  it('waits as long as the rhythm of a client says, and then keeps the pace of the clock', () => {
    const session = new Quiet();
    session.patienceMs = 1_800;
    const other = new Quiet();
    run(2_200, undefined, session, other);
    expect(session.sentAtMs).toEqual([1_800, 1_900, 2_000, 2_100, 2_200]);
    expect(other.sentAtMs.length).toBe(19);
  });

  it('catches up when a timer is late', () => {
    const session = new Quiet();
    run(1_000, (nowMs) => (nowMs === 550 ? 40 : 0), session);
    expect(session.sentAtMs).toEqual([350, 450, 590, 650, 750, 850, 950]);
  });

  it.each([300, 350, 450])('takes its own standstill at %i ms for no quiet of a client', (atMs) => {
    const session = new Quiet();
    const other = new Quiet();
    other.silentSinceMs = 10;
    run(1_800, (nowMs) => (nowMs === atMs ? 1_000 : 0), session, other);
    const inDoubt = (sentAtMs: number) => sentAtMs >= atMs + 10 && sentAtMs < atMs + 1_050;
    expect([...session.sentAtMs, ...other.sentAtMs].filter(inDoubt)).toEqual([]);
    expect(session.sentAtMs.at(-1)).toBeGreaterThan(1_700);
  });

  it('still fills when it is always late', () => {
    const session = new Quiet();
    run(20_000, () => 500, session);
    expect(session.sentAtMs.length).toBeGreaterThan(5);
  });
});
