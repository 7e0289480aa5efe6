import type { Transferable } from 'node:worker_threads';

/**
 * The writing end of a stream of items: what a handler streams its answers into and a caller its requests.
 *
 * Writing never blocks and never loses an item: without credit from the reader the item is queued here. Nothing bounds
 * that queue but its owner, who sees its size and knows what to drop. A producer that can wait does:
 *
 *     if (!sink.write(item)) await sink.ready();
 */
export interface Sink<Item> {
  /**
   * Sends `item`, moving what is in `transfer` instead of copying it. A transferred buffer belongs to the sink from here
   * on, even while it is only queued.
   *
   * Returns `true` when the item was sent, `false` when it was queued for want of credit or, once the call is over,
   * dropped (see {@link closed}). An item that cannot be cloned fails the call.
   * @throws {BusError} FAILED_PRECONDITION after `end()`; INVALID_ARGUMENT when the definition's `weigh` gives a weight
   *   that is negative or not finite.
   */
  write(item: Item, transfer?: readonly Transferable[]): boolean;
  /**
   * Resolves when an item would be sent at once: nothing queued, and credit. Rejects with the call's {@link BusError}
   * when the call ends first, so that a loop that awaits it ends too.
   */
  ready(): Promise<void>;
  /** Items waiting for credit. */
  readonly queued: number;
  /** Their total weight; equal to {@link queued} unless the method's definition weighs items. */
  readonly bufferedWeight: number;
  /** Forgets the items that wait for credit and returns how many there were. What was sent stays sent. */
  discardQueued(): number;
  /**
   * No more items. What is queued is still sent as credit comes; then the other end sees the end of the stream. On the
   * server this completes the call with OK. Idempotent.
   */
  end(): void;
  /**
   * Ends the call with an error, at once: what is queued is dropped. A server's error reaches the caller as the call's
   * outcome; a client's settles its own call and cancels it at the server. Without effect once {@link closed}.
   */
  fail(reason: unknown): void;
  /** Whether writing has become pointless: the call is over, or {@link end} has been carried out. */
  readonly closed: boolean;
}

/**
 * The reading end of a stream: iterate it, or have each item handed to a function. One consumer, and one only.
 *
 * Credit goes back to the writer as items are consumed: when the handler has returned (or its promise resolved), or when
 * the iterating loop asks for the next item. What the other end said comes in order, its end or its error after the last
 * item; what cuts the call off from here (cancellation, a deadline, a closed port) comes at once and drops what was not
 * yet consumed.
 */
export interface Source<Item> extends AsyncIterable<Item, void, undefined> {
  /**
   * Hands each item to `handler`, in order. A handler that returns a promise gets no further item until it is settled. A
   * handler that throws or rejects fails the call with that error.
   *
   * Resolves when the stream has ended and every item was consumed, rejects with the call's {@link BusError}. The
   * promise may be ignored.
   * @throws {BusError} FAILED_PRECONDITION when the stream has a consumer already.
   */
  onItem(handler: (item: Item) => unknown): Promise<void>;
}
