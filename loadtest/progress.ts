import { SingleBar } from 'cli-progress';
import type { LoadProgress } from './run.ts';

/** Shows how a run comes along: a bar on a terminal, a line now and then elsewhere. */
export function progressDisplay(): { show: (progress: LoadProgress) => void; end: () => void } {
  if (!process.stderr.isTTY) {
    let nextMs = 0;
    return {
      show: ({ elapsedMs, totalMs, calls, errors, gaps, gatewayCpu }) => {
        if (elapsedMs < nextMs) return;
        nextMs = elapsedMs + 10_000;
        const seconds = `${Math.round(elapsedMs / 1000)}/${Math.round(totalMs / 1000)} s`;
        process.stderr.write(`${seconds}: ${calls} calls, gateway ${gatewayCpu?.toFixed(0) ?? '?'} %, `);
        process.stderr.write(`${errors} errors, ${gaps} gaps\n`);
      },
      end: () => {},
    };
  }
  const bar = new SingleBar({
    format: '{bar} {value}/{total} s | {calls} calls | gateway {cpu} % | {errors} errors | {gaps} gaps',
    stream: process.stderr,
    hideCursor: true,
  });
  let isStarted = false;
  return {
    show: ({ elapsedMs, totalMs, calls, errors, gaps, gatewayCpu }) => {
      const totalSeconds = Math.round(totalMs / 1000);
      const payload = { calls, errors, gaps, cpu: gatewayCpu?.toFixed(0) ?? '?' };
      if (!isStarted) bar.start(totalSeconds, 0, payload);
      isStarted = true;
      bar.update(Math.min(totalSeconds, Math.round(elapsedMs / 1000)), payload);
    },
    end: () => {
      if (isStarted) bar.stop();
    },
  };
}
