import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import {
  BusError,
  BusPeer,
  type BusPeerOptions,
  defineService,
  type Implementation,
  type Methods,
  type Service,
  unary,
} from '../../../src/bus/index.ts';

const Barrier = defineService('barrier', { pass: unary<void, void>() });

/** Two peers of one channel, both in this thread, closed when the test is over. */
export function connectPeers(options: { left?: BusPeerOptions; right?: BusPeerOptions } = {}) {
  const { port1, port2 } = new MessageChannel();
  const left = new BusPeer(port1, options.left);
  const right = new BusPeer(port2, options.right);
  right.serve(Barrier, { pass: () => {} });
  const barrier = left.client(Barrier);
  onTestFinished(() => {
    left.close();
    right.close();
  });
  return {
    left,
    right,
    leftPort: port1,
    rightPort: port2,
    /** Resolves when everything that either end had sent by now was received: the port keeps the order. */
    settled: async () => {
      await barrier.pass();
    },
  };
}

/** A client of `service`, which the other end of a new channel serves. */
export function connect<M extends Methods>(
  service: Service<M>,
  implementation: Implementation<M>,
  options: { left?: BusPeerOptions; right?: BusPeerOptions } = {},
) {
  const peers = connectPeers(options);
  peers.right.serve(service, implementation);
  return { ...peers, client: peers.left.client(service) };
}

/** A peer that serves `service`, and a bare port at the other end for the test to post frames of its own making. */
export function connectBare<M extends Methods>(service: Service<M>, implementation: Implementation<M>) {
  const { port1: port, port2 } = new MessageChannel();
  const server = new BusPeer(port2);
  server.serve(service, implementation);
  onTestFinished(() => {
    server.close();
    port.close();
  });
  return { port, server };
}

/** A peer whose other end is `lab-worker.ts` in a thread of its own, over a channel or over the worker's own port. */
export function startLabWorker(over: 'channel' | 'parentPort' = 'channel', options: BusPeerOptions = {}) {
  const url = new URL('./lab-worker.ts', import.meta.url);
  const { port1, port2 } = new MessageChannel();
  const worker =
    over === 'channel' ? new Worker(url, { workerData: { port: port2 }, transferList: [port2] }) : new Worker(url);
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', () => {}); // some tests make it throw; without a listener that would be this thread's end, too
  if (over === 'parentPort') port1.close();
  const peer = new BusPeer(over === 'channel' ? port1 : worker, options);
  onTestFinished(async () => {
    peer.close();
    await worker.terminate();
  });
  return { worker, peer, exited };
}

/** The error that `promise` rejects with. Fails the test if it resolves, or rejects with anything but a `BusError`. */
export async function failure(promise: PromiseLike<unknown>): Promise<BusError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BusError) return error;
    throw error;
  }
  throw new Error('expected a failure');
}

/** Resolves, with the reason, when `signal` has aborted. */
export async function aborted(signal: AbortSignal): Promise<unknown> {
  if (!signal.aborted) await once(signal, 'abort');
  return signal.reason;
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
