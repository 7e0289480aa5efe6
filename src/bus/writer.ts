import type { Transferable } from 'node:worker_threads';
import { BusError } from './error.ts';
import { Fifo } from './fifo.ts';
import { Status } from './status.ts';
import type { Sink } from './stream.ts';

/** The call that a writer writes for. */
export interface WriterHost {
  /** Sends one item, or fails the call, closing the writer, when it cannot be sent. `weight` is absent when it is 1. */
  sendItem(item: unknown, weight: number | undefined, transfer: readonly Transferable[] | undefined): void;
  /** Everything was sent and nothing will follow. Not called once the writer was closed. */
  sendEnd(): void;
  writerFailed(reason: unknown): void;
}

interface QueuedItem {
  readonly item: unknown;
  readonly weight: number;
  readonly transfer: readonly Transferable[] | undefined;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: BusError) => void;
}

/**
 * Sends items while there is credit and queues them while there is none.
 *
 * Invariant: while items are queued, credit is at or below 0. So an item never overtakes another.
 */
export class ItemWriter implements Sink<unknown> {
  readonly #host: WriterHost;
  readonly #weigh: ((item: unknown) => number) | undefined;
  readonly #queue = new Fifo<QueuedItem>();
  #credit: number;
  #bufferedWeight = 0;
  #ending = false;
  #closed = false;
  #closeError: BusError | undefined;
  #waiters: Waiter[] | undefined;

  constructor(host: WriterHost, window: number, weigh: ((item: unknown) => number) | undefined) {
    this.#host = host;
    this.#credit = window;
    this.#weigh = weigh;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get bufferedWeight(): number {
    return this.#bufferedWeight;
  }

  get closed(): boolean {
    return this.#closed;
  }

  write(item: unknown, transfer?: readonly Transferable[]): boolean {
    if (this.#ending) throw new BusError(Status.FailedPrecondition, 'write after end');
    if (this.#closed) return false;
    const weight = this.#weigh === undefined ? 1 : checkWeight(this.#weigh(item));
    if (this.#credit > 0) {
      this.#send(item, weight, transfer);
      return !this.#closed;
    }
    this.#queue.push({ item, weight, transfer });
    this.#bufferedWeight += weight;
    return false;
  }

  ready(): Promise<void> {
    if (this.#closed || this.#ending) return Promise.reject(this.#overError());
    if (this.#credit > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters ??= [];
      this.#waiters.push({ resolve, reject });
    });
  }

  discardQueued(): number {
    const discarded = this.#queue.length;
    this.#queue.clear();
    this.#bufferedWeight = 0;
    this.#finishIfDrained();
    return discarded;
  }

  end(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.#rejectWaiters();
    this.#finishIfDrained();
  }

  fail(reason: unknown): void {
    if (!this.#closed) this.#host.writerFailed(reason);
  }

  /** The reader has consumed this much more. */
  grant(credit: number): void {
    this.#credit += credit;
    while (this.#credit > 0) {
      const queued = this.#queue.shift();
      if (queued === undefined) break;
      this.#bufferedWeight = this.#queue.length === 0 ? 0 : this.#bufferedWeight - queued.weight;
      this.#send(queued.item, queued.weight, queued.transfer);
    }
    this.#finishIfDrained();
    if (this.#credit > 0 && this.#waiters !== undefined) {
      const waiters = this.#waiters;
      this.#waiters = undefined;
      for (const waiter of waiters) waiter.resolve();
    }
  }

  /** The call is over: whatever is queued can no longer be sent. `error` is why, unless it went well. */
  close(error: BusError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeError = error;
    this.#queue.clear();
    this.#bufferedWeight = 0;
    this.#rejectWaiters();
  }

  #send(item: unknown, weight: number, transfer: readonly Transferable[] | undefined): void {
    this.#credit -= weight;
    this.#host.sendItem(item, weight === 1 ? undefined : weight, transfer);
  }

  #finishIfDrained(): void {
    if (!this.#ending || this.#closed || this.#queue.length > 0) return;
    this.#closed = true;
    this.#host.sendEnd();
  }

  #rejectWaiters(): void {
    const waiters = this.#waiters;
    if (waiters === undefined) return;
    this.#waiters = undefined;
    const error = this.#overError();
    for (const waiter of waiters) waiter.reject(error);
  }

  #overError(): BusError {
    if (this.#closeError !== undefined) return this.#closeError;
    return this.#ending
      ? new BusError(Status.FailedPrecondition, 'the stream was ended')
      : new BusError(Status.Cancelled, 'the call is over');
  }
}

function checkWeight(weight: number): number {
  if (weight >= 0 && weight < Infinity) return weight;
  throw new BusError(Status.InvalidArgument, `an item cannot weigh ${weight}`);
}
