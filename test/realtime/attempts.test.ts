import { expect, it } from 'vitest';
import { Attempts } from '../../src/realtime/attempts.ts';

const POLICY = { maxAttempts: 3, firstBackoffMs: 100, maxBackoffMs: 350, stableAfterMs: 10_000 };

function all(attempts: Attempts): number[] {
  const made: number[] = [];
  for (let attempt = attempts.next(); attempt !== undefined; attempt = attempts.next()) made.push(attempt);
  return made;
}

it('there are so many attempts', () => {
  expect(all(new Attempts(POLICY))).toEqual([1, 2, 3]);
});

it('a connection that did not last does not give them back', () => {
  const attempts = new Attempts(POLICY);
  attempts.lost(60_000);
  expect(attempts.next()).toBe(1);
  attempts.lost(9_999);
  expect(attempts.next()).toBe(2);
  attempts.lost(10);
  expect(all(attempts)).toEqual([3]);
});

it('one that lasted does', () => {
  const attempts = new Attempts(POLICY);
  expect(all(attempts)).toHaveLength(3);
  attempts.lost(10_000);
  expect(all(attempts)).toEqual([1, 2, 3]);
});

it('the first has some jitter, the others are further and further apart', () => {
  for (let round = 0; round < 100; round++) {
    const attempts = new Attempts(POLICY);
    const waits = [1, 2, 3].map(() => {
      attempts.next();
      return attempts.waitMs;
    });
    const ranges: [number, number][] = [
      [0, 100],
      [50, 100],
      [100, 200],
    ];
    for (const [index, [least, most]] of ranges.entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(least);
      expect(waits[index]).toBeLessThanOrEqual(most);
    }
    expect(attempts.backoffMs(20)).toBeLessThanOrEqual(350);
  }
});
