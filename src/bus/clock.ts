import { hrtime } from 'node:process';

/**
 * Milliseconds, with fractions, on the system's monotonic clock. The origin is arbitrary but the same in every thread of
 * the process, which `performance.now()` does not offer: a deadline taken from this clock can cross a port as it is and
 * needs no allowance for the time it spent on its way.
 */
export function monotonicNowMs(): number {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}
