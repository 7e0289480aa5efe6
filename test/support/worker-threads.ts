import { setImmediate } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { Session } from '../../src/call/session.ts';
import type { TestGateway } from './gateway.ts';

/** Session workers of this process that run, by the names of their threads. */
const threads = new Map<string, Worker>();
process.on('worker', (worker: Worker) => {
  const name = worker.threadName;
  if (name === null) return;
  threads.set(name, worker);
  worker.once('exit', () => {
    if (threads.get(name) === worker) threads.delete(name);
  });
});

/**
 * Ends the thread that holds a call's conversation, as a crash would: without a word to anybody.
 * @returns whether a thread held it
 * @throws {CallError} `session_not_found`
 */
export async function terminateWorkerOf(gateway: Pick<TestGateway, 'daemon'>, callId: string): Promise<boolean> {
  const { workerId } = gateway.daemon.gateway.findSession({ tenantId: undefined }, callId) as Session;
  return workerId !== undefined && terminateWorker(workerId);
}

/** Ends a worker's thread in the same way; false where there is none. */
export async function terminateWorker(workerId: number): Promise<boolean> {
  // A thread is told of in a turn of its own.
  await setImmediate();
  const thread = threads.get(`session-worker-${workerId}`);
  await thread?.terminate();
  return thread !== undefined;
}
