import type { Transferable } from 'node:worker_threads';
import { monotonicNowMs } from '../clock.ts';
import { expired, lost, unsendable } from './call-errors.ts';
import { Deadline } from './deadline.ts';
import { BusError } from './error.ts';
import { toErrorBody } from './error-body.ts';
import type { CallContext } from './handler.ts';
import type { Link } from './link.ts';
import { ItemReader, type ReaderHost } from './reader.ts';
import { DEFAULT_WINDOW, type MethodSpec } from './service.ts';
import { type ErrorCode, Status, type StatusCode } from './status.ts';
import { Transferred } from './transfer.ts';
import { type CallFrame, type ItemFrame, Tag } from './wire.ts';
import { ItemWriter, type WriterHost } from './writer.ts';

/** A handler whose types have been checked where it was served: `(request, source?, sink?, context)`. */
export type AnyHandler = (...args: unknown[]) => unknown;

/** A method as it is served. */
export interface ServedMethod {
  readonly path: string;
  readonly spec: MethodSpec;
  readonly handler: AnyHandler;
}

/**
 * One call at the end that serves it, and the context its handler sees. It is over when the handler has answered, ended
 * its stream or failed, or before that, when the call is cancelled, runs out of time or loses its port.
 */
export class ServerCall implements CallContext, WriterHost, ReaderHost {
  readonly method: string;
  readonly #link: Link;
  readonly #id: number;
  readonly #startedAtMs: number;
  #writer: ItemWriter | undefined;
  #reader: ItemReader | undefined;
  #deadline: Deadline | undefined;
  #abort: AbortController | undefined;
  #abortReason: BusError | undefined;
  #settled = false;
  #gathers = false;

  constructor(link: Link, id: number, method: string) {
    this.#link = link;
    this.#id = id;
    this.method = method;
    this.#startedAtMs = link.startedAtMs();
  }

  /** Runs the handler, unless there is none or the call's time was up on arrival. */
  start(served: ServedMethod | undefined, frame: CallFrame): void {
    if (served === undefined) {
      this.#fail(new BusError(Status.Unimplemented, `${this.method} is not served here`));
      return;
    }
    // By index: destructuring an array goes through its iterator.
    const request = frame[3];
    const deadlineMs = frame[4] ?? 0;
    if (deadlineMs > 0) {
      if (deadlineMs <= monotonicNowMs()) {
        this.#expire();
        return;
      }
      this.#deadline = new Deadline(deadlineMs, () => this.#expire());
    }
    const { spec, handler } = served;
    if (spec.up !== undefined) this.#reader = new ItemReader(this, frame[5] ?? DEFAULT_WINDOW);
    this.#gathers = spec.down?.gather ?? false;
    if (spec.down !== undefined) this.#writer = new ItemWriter(this, frame[6] ?? DEFAULT_WINDOW, spec.down.weigh);
    try {
      switch (spec.kind) {
        case 'unary':
          this.#answerWith(handler(request, this));
          break;
        case 'clientStream':
          this.#answerWith(handler(request, this.#reader, this));
          break;
        case 'serverStream':
          this.#failWith(handler(request, this.#writer, this));
          break;
        case 'bidi':
          this.#failWith(handler(request, this.#reader, this.#writer, this));
          break;
      }
    } catch (reason) {
      this.#fail(reason);
    }
  }

  // What the handler sees.

  get deadline(): number | undefined {
    return this.#deadline?.atMs;
  }

  timeRemainingMs(): number {
    return this.#deadline === undefined ? Infinity : Math.max(0, this.#deadline.atMs - monotonicNowMs());
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#abortReason !== undefined) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }

  // What arrives from the client.

  receiveItem(item: unknown, weight: number): void {
    this.#reader?.receive(item, weight);
  }

  receiveEnd(): void {
    this.#reader?.finish(undefined);
  }

  receiveGrant(credit: number): void {
    this.#writer?.grant(credit);
  }

  receiveCancel(code: ErrorCode, message: string): void {
    this.#cutOff(new BusError(code, message));
  }

  /** The port is closed: nobody waits for this call any more. */
  lost(cause: BusError): void {
    this.#cutOff(lost(this.method, cause));
  }

  // What the writer and the reader ask for.

  sendItem(item: unknown, weight: number | undefined, transfer: readonly Transferable[] | undefined): void {
    const frame: ItemFrame =
      weight === undefined ? [Tag.ServerItem, this.#id, item] : [Tag.ServerItem, this.#id, item, weight];
    if (this.#gathers) {
      this.#link.gather(frame, transfer, this.#onUnsendable);
      return;
    }
    try {
      this.#link.send(frame, transfer);
    } catch (cause) {
      this.#onUnsendable(cause);
    }
  }

  sendEnd(): void {
    this.#link.send([Tag.Answer, this.#id]);
    this.#settle(Status.Ok, undefined);
  }

  sendGrant(credit: number): void {
    this.#link.send([Tag.ServerGrant, this.#id, credit]);
  }

  writerFailed(reason: unknown): void {
    this.#fail(reason);
  }

  readerFailed(reason: unknown): void {
    this.#failFromOutside(BusError.from(reason));
  }

  /** A handler need not read all that the client sends: what it leaves costs the client its credit, not us memory. */
  readerStopped(): void {}

  readonly #onUnsendable = (cause: unknown): void => {
    this.#failFromOutside(unsendable(Status.Internal, this.method, 'an item', cause));
  };

  #answerWith(result: unknown): void {
    if (result instanceof Promise) {
      result.then(
        (answer) => this.#answer(answer),
        (reason) => this.#fail(reason),
      );
    } else {
      this.#answer(result);
    }
  }

  /** A streaming handler's promise says nothing by resolving: the stream lasts until the sink is ended. */
  #failWith(result: unknown): void {
    if (result instanceof Promise) result.catch((reason) => this.#fail(reason));
  }

  #answer(result: unknown): void {
    if (this.#settled) return;
    try {
      if (result instanceof Transferred) this.#link.send([Tag.Answer, this.#id, result.value], result.transfer);
      else this.#link.send([Tag.Answer, this.#id, result]);
    } catch (cause) {
      this.#fail(unsendable(Status.Internal, this.method, 'the answer', cause));
      return;
    }
    this.#settle(Status.Ok, undefined);
  }

  /** The handler has failed its call. */
  #fail(reason: unknown): void {
    if (this.#settled) return;
    const error = BusError.from(reason);
    this.#sendFailure(error);
    this.#settle(error.code, error);
  }

  /** The call has failed without the handler's doing, and the handler is told. */
  #failFromOutside(error: BusError): void {
    if (this.#settled) return;
    this.#sendFailure(error);
    this.#cutOff(error);
  }

  #expire(): void {
    // The client has a timer of its own, but its thread may be the one that is busy.
    this.#failFromOutside(expired(this.method));
  }

  #cutOff(error: BusError): void {
    if (this.#settled) return;
    this.#settle(error.code, error);
    this.#abortReason = error;
    this.#abort?.abort(error);
  }

  #settle(code: StatusCode, error: BusError | undefined): void {
    this.#settled = true;
    this.#deadline?.clear();
    this.#link.ended('server', this.#id, this.method, code, this.#startedAtMs);
    this.#writer?.close(error);
    this.#reader?.close(error);
  }

  #sendFailure(error: BusError): void {
    const body = toErrorBody(error);
    try {
      this.#link.send([Tag.Failure, this.#id, body]);
    } catch {
      // Only details can fail to be cloned, and a failure without them is better than none.
      delete body.details;
      this.#link.send([Tag.Failure, this.#id, body]);
    }
  }
}
