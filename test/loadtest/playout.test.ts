import { describe, expect, it } from 'vitest';
import { Playout } from '../../loadtest/playout.ts';

describe('the playout', () => {
  it('plays on without a gap while audio comes in time', () => {
    const playout = new Playout(100, Number.POSITIVE_INFINITY);
    for (let i = 0; i < 50; i++) expect(playout.arrive(100, i * 100 + (i % 2 === 0 ? 0 : 60))).toBe(0);
    expect(playout.gaps).toBe(0);
    expect(playout.remainingMs(4_960)).toBe(140);
    expect(playout.playedMs(4_960)).toBe(4_860);
  });

  it('counts a gap when it runs dry, and how long nothing was heard', () => {
    const playout = new Playout(50, Number.POSITIVE_INFINITY);
    playout.arrive(100, 0);
    // Dry at 150; what comes at 400 waits 50 in the buffer again.
    expect(playout.arrive(100, 400)).toBe(300);
    expect(playout.gaps).toBe(1);
    expect(playout.gapMs).toBe(300);
    expect(playout.remainingMs(400)).toBe(150);
  });

  it('does not take the silence between two replies for a gap', () => {
    const playout = new Playout(50, 450);
    playout.arrive(1_000, 0);
    expect(playout.arrive(1_000, 3_000)).toBe(0);
    expect(playout.gaps).toBe(0);
    playout.arrive(100, 4_200);
    expect(playout.gaps).toBe(1);
  });

  it('forgets what it has when a reply is interrupted', () => {
    const playout = new Playout(50, Number.POSITIVE_INFINITY);
    playout.arrive(5_000, 0);
    playout.flush();
    expect(playout.remainingMs(10)).toBe(0);
    expect(playout.playedMs(10)).toBe(0);
    expect(playout.arrive(100, 9_000)).toBe(0);
    expect(playout.playedMs(9_100)).toBe(50);
  });
});
