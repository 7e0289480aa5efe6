import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';

/** Taken for a session's life when the server says nothing that can be true. The Realtime API ends sessions after 60. */
const USUAL_LIFE_MS = 55 * 60_000;
/** The longest life that is believed where only our own wall clock, which may be behind, tells the difference. */
const LONGEST_UNCHECKED_MS = 60 * 60_000;
const DAY_MS = 86_400_000;

/** What the server said of a session's end, when it created it. */
export interface SaidExpiry {
  /** `expires_at` as it came, which should be Unix seconds. */
  readonly expiresAt: unknown;
  /** The wall clock when the session was created: the server's, where its handshake told the time, or our own. */
  readonly wallMs: number;
  readonly isServersClock: boolean;
}

export interface SessionLife {
  /** How long the session may last from its creation on. */
  readonly lifeMs: number;
  /** The server named an end that cannot be. */
  readonly isOdd: boolean;
}

/**
 * How long a session lasts: the difference between its `expires_at` and the moment of `session.created`, where that is
 * between a minute and a day, and 55 minutes otherwise. Only the difference of two wall clocks is looked at, and only
 * once: from here on the session's age counts on the monotonic clock. Our own wall clock may be wrong by hours, so that
 * the server's is preferred, and without it no more than an hour is believed.
 */
export function sessionLife(
  said: SaidExpiry | undefined,
  { shortestLifeMs }: Pick<ReconnectPolicy, 'shortestLifeMs'>,
): SessionLife {
  if (said === undefined) return { lifeMs: USUAL_LIFE_MS, isOdd: false };
  const { expiresAt, wallMs, isServersClock } = said;
  const differenceMs = typeof expiresAt === 'number' ? expiresAt * 1000 - wallMs : Number.NaN;
  if (!(differenceMs >= shortestLifeMs && differenceMs <= DAY_MS)) {
    return { lifeMs: USUAL_LIFE_MS, isOdd: true };
  }
  const lifeMs = isServersClock ? differenceMs : Math.min(differenceMs, LONGEST_UNCHECKED_MS);
  return { lifeMs, isOdd: false };
}
