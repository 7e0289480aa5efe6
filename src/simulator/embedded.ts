import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SimulatorOptions } from './options.ts';

/** A simulator that runs beside the caller's thread. */
export interface EmbeddedSimulator {
  /** Where clients connect, without the query. */
  url: string;
  /** Drops all connections and ends the thread. Calling it again awaits the same end. */
  close(): Promise<void>;
}

/**
 * Starts a simulator on a worker thread, so that its work does not delay that of the caller.
 * @throws Error when it cannot listen, or fixtures are missing
 */
export async function startEmbeddedSimulator(options: SimulatorOptions = {}): Promise<EmbeddedSimulator> {
  const file = import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js';
  const worker = new Worker(new URL(file, import.meta.url), { workerData: options, name: 'simulator' });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  // Rejects with the thread's error when it ends before it listens.
  const [url] = (await once(worker, 'message')) as [string];
  let closing: Promise<void> | undefined;
  const close = async () => {
    worker.postMessage('close');
    await exited;
  };
  return {
    url,
    close() {
      closing ??= close();
      return closing;
    },
  };
}
