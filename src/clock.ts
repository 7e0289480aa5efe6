/**
 * Milliseconds of the process's monotonic clock, the same on every thread (`performance.now()` has an origin a thread).
 */
export function monotonicNowMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
