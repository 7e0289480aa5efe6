/**
 * Loaded into a daemon with `--import`: prints, twice a second, the most CPU time in milliseconds that its main thread
 * took without a turn for a timer. Other than elapsed time, that is the daemon's own doing on a busy machine too.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  let last = process.threadCpuUsage();
  let longestUs = 0;
  setInterval(() => {
    const now = process.threadCpuUsage();
    longestUs = Math.max(longestUs, now.user + now.system - last.user - last.system);
    last = now;
  }, 1).unref();
  setInterval(() => {
    process.stderr.write(`stretch ${(longestUs / 1000).toFixed(1)}\n`);
    longestUs = 0;
  }, 500).unref();
}
