import { describe, expect, it } from 'vitest';
import { sessionLife } from '../../src/realtime/session-life.ts';
import { DEFAULT_RECONNECT_POLICY } from '../../src/upstream/reconnect-policy.ts';

const CREATED_AT_MS = Date.parse('2026-05-01T12:00:00Z');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const USUAL = { lifeMs: 55 * MINUTE_MS, isOdd: false };
const ODD = { ...USUAL, isOdd: true };

function lifeOf(expiresAt: unknown, { aheadMs = 0, isServersClock = true } = {}) {
  return sessionLife({ expiresAt, wallMs: CREATED_AT_MS + aheadMs, isServersClock }, DEFAULT_RECONNECT_POLICY);
}
const secondsIn = (ms: number) => (CREATED_AT_MS + ms) / 1000;

describe('how long a session lasts', () => {
  it('is 55 minutes where the server says nothing', () => {
    expect(sessionLife(undefined, DEFAULT_RECONNECT_POLICY)).toEqual(USUAL);
  });

  it.each([MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 2 * HOUR_MS, 24 * HOUR_MS])('is what the server says: %d ms', (ms) => {
    expect(lifeOf(secondsIn(ms))).toEqual({ lifeMs: ms, isOdd: false });
  });

  it.each([
    0,
    -1,
    secondsIn(0),
    secondsIn(-HOUR_MS),
    secondsIn(MINUTE_MS - 1),
    secondsIn(24 * HOUR_MS + 1),
    CREATED_AT_MS + HOUR_MS,
    1e300,
    Number.MAX_SAFE_INTEGER,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    'soon',
    String(secondsIn(HOUR_MS)),
    true,
    [],
    {},
  ])('is 55 minutes where what it says cannot be: %j', (expiresAt) => {
    expect(lifeOf(expiresAt)).toEqual(ODD);
    expect(lifeOf(expiresAt, { isServersClock: false })).toEqual(ODD);
  });

  describe('by our own clock', () => {
    it.each([
      [0, { lifeMs: HOUR_MS, isOdd: false }],
      // Ahead: too little seems to be left, or nothing at all.
      [20 * MINUTE_MS, { lifeMs: 40 * MINUTE_MS, isOdd: false }],
      [HOUR_MS, ODD],
      [40 * 24 * HOUR_MS, ODD],
      // Behind: too much seems to be left, and no session is known to last longer than an hour.
      [-20 * MINUTE_MS, { lifeMs: HOUR_MS, isOdd: false }],
      [-HOUR_MS, { lifeMs: HOUR_MS, isOdd: false }],
      [-40 * 24 * HOUR_MS, ODD],
    ])('that is %d ms ahead is never later than the server', (aheadMs, expected) => {
      expect(lifeOf(secondsIn(HOUR_MS), { aheadMs, isServersClock: false })).toEqual(expected);
    });
  });
});
