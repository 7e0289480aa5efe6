export interface BackoffOptions {
  /** Delay before the first retry. */
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before a retry: doubling from `baseMs` to `maxMs`, the upper half of it random, so that those who
 * failed together do not come back together, and the lower half always waited, so that no failure is repeated at once.
 * @param failureCount failures in a row so far, from 1
 */
export function backoffMs(failureCount: number, { baseMs, maxMs }: BackoffOptions): number {
  const whole = Math.min(maxMs, baseMs * 2 ** Math.min(failureCount - 1, 30));
  return whole * (0.5 + Math.random() / 2);
}
