import type { Transferable } from 'node:worker_threads';
import { cancelled, unsendable } from './call-errors.ts';
import type { BidiCallOptions } from './client.ts';
import { ClientCall } from './client-call.ts';
import { BusError } from './error.ts';
import type { Link } from './link.ts';
import { ItemReader, type ReaderHost } from './reader.ts';
import { isWindow, type MethodSpec } from './service.ts';
import { Status } from './status.ts';
import type { Sink, Source } from './stream.ts';
import { type ItemFrame, Tag } from './wire.ts';
import { ItemWriter, type WriterHost } from './writer.ts';

/** The options of every kind of stream; which of the windows apply depends on the kind. */
export type AnyStreamOptions = BidiCallOptions & { window?: number | undefined };

/**
 * A call that streams, one way or both. Its caller sees it through the interface of its kind: `ServerStreamCall`,
 * `ClientStreamCall` or `BidiCall`.
 */
export class StreamClientCall extends ClientCall implements Source<unknown>, WriterHost, ReaderHost {
  readonly #upWindow: number | undefined;
  readonly #downWindow: number | undefined;
  readonly #writer: ItemWriter | undefined;
  readonly #reader: ItemReader | undefined;
  readonly #answer: PromiseWithResolvers<unknown> | undefined;
  readonly #gathers: boolean;

  constructor(link: Link, id: number, method: string, spec: MethodSpec, options: AnyStreamOptions | undefined) {
    super(link, id, method);
    this.#gathers = spec.up?.gather ?? false;
    if (spec.up !== undefined) {
      this.#upWindow = options?.upWindow ?? options?.window ?? spec.up.window;
      this.#writer = new ItemWriter(this, this.#upWindow, spec.up.weigh);
    }
    if (spec.down !== undefined) {
      this.#downWindow = options?.downWindow ?? options?.window ?? spec.down.window;
      this.#reader = new ItemReader(this, this.#downWindow);
    } else {
      this.#answer = Promise.withResolvers();
      // The caller may well learn of the outcome from the sink and never look at the answer.
      this.#answer.promise.catch(ignore);
    }
  }

  start(request: unknown, options: AnyStreamOptions | undefined): this {
    for (const window of [this.#upWindow, this.#downWindow]) {
      if (window === undefined || isWindow(window)) continue;
      const message = `${this.method}: a stream's window must be above 0, not ${window}`;
      this.abandon(new BusError(Status.InvalidArgument, message));
      return this;
    }
    this.open(request, options, this.#upWindow, this.#downWindow);
    return this;
  }

  // What the caller sees.

  get sink(): Sink<unknown> {
    return this.#writer ?? this.#lacks('sink');
  }

  get answer(): Promise<unknown> {
    return this.#answer?.promise ?? this.#lacks('answer');
  }

  onItem(handler: (item: unknown) => unknown): Promise<void> {
    return (this.#reader ?? this.#lacks('items')).onItem(handler);
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, void, undefined> {
    return (this.#reader ?? this.#lacks('items'))[Symbol.asyncIterator]();
  }

  override cancel(reason?: unknown): void {
    // The server may be done while its last items still wait for their consumer.
    if (this.isSettled) this.#reader?.close(cancelled(this.method, reason));
    else super.cancel(reason);
  }

  // What arrives from the server.

  override receiveItem(item: unknown, weight: number): void {
    this.#reader?.receive(item, weight);
  }

  override receiveGrant(credit: number): void {
    this.#writer?.grant(credit);
  }

  protected override settled(error: BusError | undefined, answer: unknown, remote: boolean): void {
    this.#writer?.close(error);
    if (remote) this.#reader?.finish(error);
    else this.#reader?.close(error);
    if (error === undefined) this.#answer?.resolve(answer);
    else this.#answer?.reject(error);
  }

  // What the writer and the reader ask for.

  sendItem(item: unknown, weight: number | undefined, transfer: readonly Transferable[] | undefined): void {
    const frame: ItemFrame =
      weight === undefined ? [Tag.ClientItem, this.id, item] : [Tag.ClientItem, this.id, item, weight];
    if (this.#gathers) {
      this.link.gather(frame, transfer, this.#onUnsendable);
      return;
    }
    try {
      this.link.send(frame, transfer);
    } catch (cause) {
      this.#onUnsendable(cause);
    }
  }

  sendEnd(): void {
    this.link.send([Tag.ClientEnd, this.id]);
  }

  sendGrant(credit: number): void {
    this.link.send([Tag.ClientGrant, this.id, credit]);
  }

  writerFailed(reason: unknown): void {
    this.abandon(BusError.from(reason));
  }

  readerFailed(reason: unknown): void {
    this.abandon(BusError.from(reason));
  }

  readerStopped(): void {
    this.abandon(cancelled(this.method));
  }

  readonly #onUnsendable = (cause: unknown): void => {
    this.abandon(unsendable(Status.InvalidArgument, this.method, 'an item', cause));
  };

  #lacks(what: string): never {
    throw new BusError(Status.FailedPrecondition, `${this.method} has no ${what}`);
  }
}

function ignore(): void {}
