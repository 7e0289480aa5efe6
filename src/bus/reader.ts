import { BusError } from './error.ts';
import { Fifo } from './fifo.ts';
import { Status } from './status.ts';
import type { Source } from './stream.ts';

/** The call that a reader reads for. */
export interface ReaderHost {
  /** Lets the writer send this much more. Not called once the reader was finished or closed. */
  sendGrant(credit: number): void;
  /** The consumer stopped before the end of the stream. */
  readerStopped(): void;
  /** The consumer threw. */
  readerFailed(reason: unknown): void;
}

interface QueuedItem {
  readonly item: unknown;
  readonly weight: number;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<unknown, undefined>) => void;
  readonly reject: (error: BusError) => void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Holds received items until they are consumed and returns the credit for those that were, half a window at a time: a
 * grant an item would double the traffic, a grant a whole window would let the writer run dry.
 */
export class ItemReader implements Source<unknown> {
  readonly #host: ReaderHost;
  readonly #queue = new Fifo<QueuedItem>();
  readonly #grantAt: number;
  #ungranted = 0;

  #consumer: 'none' | 'handler' | 'iterator' = 'none';
  #handler: ((item: unknown) => unknown) | undefined;
  #handlerBusy = false;
  #handlerDone: ((error: BusError | undefined) => void) | undefined;
  #waiters: Fifo<Waiter> | undefined;
  /** Weight of the items the iterator has given out and its consumer has not yet come back from. */
  #outWeight = 0;

  /** The other end will send nothing more. */
  #ended = false;
  /** The consumer gets nothing more. */
  #closed = false;
  #error: BusError | undefined;

  constructor(host: ReaderHost, window: number) {
    this.#host = host;
    this.#grantAt = window / 2;
  }

  onItem(handler: (item: unknown) => unknown): Promise<void> {
    this.#claim('handler');
    this.#handler = handler;
    const done = new Promise<void>((resolve, reject) => {
      this.#handlerDone = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Whoever ignores the promise learns of the end elsewhere; it must not end the process as an unhandled rejection.
    done.catch(ignore);
    if (this.#closed) this.#settleHandler();
    else this.#feedHandler();
    return done;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined, undefined> {
    this.#claim('iterator');
    return {
      next: () => this.#next(),
      return: () => {
        if (!this.#closed) {
          this.close(undefined);
          this.#host.readerStopped();
        }
        return Promise.resolve(DONE);
      },
    };
  }

  /** An item has arrived. */
  receive(item: unknown, weight: number): void {
    if (this.#closed || this.#ended) return;
    if (this.#handler !== undefined && !this.#handlerBusy) {
      this.#handle(this.#handler, item, weight);
      return;
    }
    const waiter = this.#waiters?.shift();
    if (waiter === undefined) {
      this.#queue.push({ item, weight });
    } else {
      this.#outWeight += weight;
      waiter.resolve({ done: false, value: item });
    }
  }

  /** The other end has ended the stream, with an error or without: told to the consumer after the items before it. */
  finish(error: BusError | undefined): void {
    if (this.#closed || this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (this.#queue.length === 0 && !this.#handlerBusy) this.#settle();
  }

  /** The stream is cut off here: told to the consumer at once, and what it has not consumed is dropped. */
  close(error: BusError | undefined): void {
    if (this.#closed) return;
    this.#queue.clear();
    this.#error = error;
    this.#settle();
  }

  #claim(consumer: 'handler' | 'iterator'): void {
    if (this.#consumer !== 'none') {
      throw new BusError(Status.FailedPrecondition, `the stream already has a consumer (${this.#consumer})`);
    }
    this.#consumer = consumer;
  }

  #consumed(weight: number): void {
    if (this.#ended || this.#closed) return;
    this.#ungranted += weight;
    if (this.#ungranted < this.#grantAt) return;
    const credit = this.#ungranted;
    this.#ungranted = 0;
    this.#host.sendGrant(credit);
  }

  #handle(handler: (item: unknown) => unknown, item: unknown, weight: number): void {
    let result: unknown;
    try {
      result = handler(item);
    } catch (reason) {
      this.#failed(reason);
      return;
    }
    if (!isThenable(result)) {
      this.#consumed(weight);
      return;
    }
    this.#handlerBusy = true;
    result.then(
      () => {
        this.#handlerBusy = false;
        this.#consumed(weight);
        this.#feedHandler();
      },
      (reason: unknown) => this.#failed(reason),
    );
  }

  #feedHandler(): void {
    const handler = this.#handler;
    while (handler !== undefined && !this.#handlerBusy && !this.#closed) {
      const queued = this.#queue.shift();
      if (queued === undefined) {
        if (this.#ended) this.#settle();
        return;
      }
      this.#handle(handler, queued.item, queued.weight);
    }
  }

  #failed(reason: unknown): void {
    if (this.#closed) return;
    this.close(BusError.from(reason));
    this.#host.readerFailed(reason);
  }

  #next(): Promise<IteratorResult<unknown, undefined>> {
    const consumed = this.#outWeight;
    this.#outWeight = 0;
    this.#consumed(consumed);
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#outWeight = queued.weight;
      return Promise.resolve({ done: false, value: queued.item });
    }
    if (this.#ended) this.#settle();
    if (this.#closed) return this.#error === undefined ? Promise.resolve(DONE) : Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#waiters ??= new Fifo();
      this.#waiters.push({ resolve, reject });
    });
  }

  #settle(): void {
    this.#closed = true;
    this.#settleHandler();
    const waiters = this.#waiters;
    if (waiters === undefined) return;
    this.#waiters = undefined;
    for (let waiter = waiters.shift(); waiter !== undefined; waiter = waiters.shift()) {
      if (this.#error === undefined) waiter.resolve(DONE);
      else waiter.reject(this.#error);
    }
  }

  #settleHandler(): void {
    this.#handler = undefined;
    this.#handlerDone?.(this.#error);
    this.#handlerDone = undefined;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function ignore(): void {}
