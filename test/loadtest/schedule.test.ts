import { describe, expect, it } from 'vitest';
import {
  CALLS_A_GENERATOR,
  ChunkSchedule,
  callStartMs,
  callsOfGenerator,
  generatorsFor,
  phaseMs,
  rampMs,
} from '../../loadtest/schedule.ts';

describe('the ramp', () => {
  it('starts calls evenly, the first at once', () => {
    expect([0, 1, 2].map((index) => callStartMs(1_000, index, 10))).toEqual([1_000, 1_100, 1_200]);
    expect(rampMs(1, 10)).toBe(0);
    expect(rampMs(100, 10)).toBe(9_900);
  });
});

describe('a chunk schedule', () => {
  it('is absolute: chunk n is due n chunk lengths after the first, however late the others were', () => {
    const schedule = new ChunkSchedule(500, 100);
    const due: number[] = [];
    for (let i = 0; i < 1_000; i++) {
      due.push(schedule.dueMs);
      schedule.advance();
    }
    expect(due[0]).toBe(500);
    expect(due[999]).toBe(500 + 99_900);
    expect(schedule.next).toBe(1_000);
  });

  it('spreads calls that start at the same distance over the length of a chunk', () => {
    for (const calls of [5, 10, 50, 300]) {
      const phases = Array.from({ length: calls }, (_, index) => phaseMs(index, 100)).sort((a, b) => a - b);
      expect(phases[0]).toBeGreaterThanOrEqual(0);
      expect(phases.at(-1)).toBeLessThan(100);
      const distances = phases.map((phase, i) => (i === 0 ? phase + 100 - phases.at(-1)! : phase - phases[i - 1]!));
      // Three times the even distance is the most that multiples of the golden ratio leave between neighbours.
      expect(Math.max(...distances)).toBeLessThan((3 * 100) / calls);
    }
  });
});

describe('generators', () => {
  it('share out all calls, each to one of them', () => {
    const shares = [0, 1, 2].map((generator) => callsOfGenerator(10, 3, generator));
    expect(shares).toEqual([
      [0, 3, 6, 9],
      [1, 4, 7],
      [2, 5, 8],
    ]);
  });

  it('are as many as the calls need', () => {
    expect(generatorsFor(1)).toBe(1);
    expect(generatorsFor(CALLS_A_GENERATOR)).toBe(1);
    expect(generatorsFor(CALLS_A_GENERATOR + 1)).toBe(2);
  });
});
