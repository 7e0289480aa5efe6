/**
 * The one clock for durations, deadlines and ages: milliseconds since some moment, never set back or forward. The wall
 * clock (`Date`) is for what people and other machines read, and for nothing that is waited for.
 */
export type Clock = () => number;

/**
 * The system's monotonic clock, with fractions of a millisecond. Its origin is the same in every thread of the process,
 * which that of `performance.now()` is not: a time may cross to another thread as it is.
 */
export const monotonicNowMs: Clock = () => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
};

/** The longest that a timer can wait; it takes anything longer for 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A wait that a timer can keep: whole milliseconds, rounded up, none below 0 and none beyond what a timer can count. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(0, Math.ceil(ms)), MAX_TIMER_MS);
}
