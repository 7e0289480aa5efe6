import { type MessagePort, type Transferable, Worker } from 'node:worker_threads';
import { monotonicNowMs } from '../clock.ts';
import type { CallOptions, Client } from './client.ts';
import type { ClientCall } from './client-call.ts';
import { BusError } from './error.ts';
import type { Implementation } from './handler.ts';
import type { Link, Role } from './link.ts';
import { Outbound } from './outbound.ts';
import { type AnyHandler, type ServedMethod, ServerCall } from './server-call.ts';
import type { MethodSpec, Methods, Service } from './service.ts';
import { Status, type StatusCode } from './status.ts';
import { type AnyStreamOptions, StreamClientCall } from './stream-call.ts';
import { UnaryClientCall } from './unary-call.ts';
import { type CallFrame, type Frame, isFrame, Tag } from './wire.ts';

/**
 * What a peer can talk over: one end of a `MessageChannel`, a worker's `parentPort`, or, at the other end of that, the
 * `Worker` itself. The peer owns it: nobody else listens to it or posts to it.
 */
export type BusPort = MessagePort | Worker;

/** How a call ended, as one of its two ends saw it. */
export interface CallEnd {
  /** `"service.method"`. */
  readonly method: string;
  readonly code: StatusCode;
  /** From the call's start to its end at this end. */
  readonly durationMs: number;
  readonly role: Role;
}

export interface BusPeerOptions {
  /** Told of every call that ends here, whether made or served; for metrics. Unset, nothing is timed. */
  onCallEnd?: ((end: CallEnd) => void) | undefined;
}

/**
 * One end of the bus: makes calls to the other end of its port and serves calls from it, any number at once.
 *
 * Every call made is settled exactly once, whatever happens: by its answer, its deadline, its cancellation, or with
 * UNAVAILABLE when the port closes, which it does when the other end's thread ends for whatever reason.
 *
 * Listening keeps the port, and so the process, alive as `port.on('message')` does; see {@link unref}. Calls and their
 * deadlines keep nothing alive by themselves.
 */
export class BusPeer {
  readonly #port: BusPort;
  readonly #onCallEnd: ((end: CallEnd) => void) | undefined;
  readonly #served = new Map<string, ServedMethod>();
  readonly #made = new Map<number, ClientCall>();
  readonly #serving = new Map<number, ServerCall>();
  readonly #closed = Promise.withResolvers<BusError>();
  readonly #link: Link;
  readonly #outbound: Outbound;
  #closeReason: BusError | undefined;
  #lastMadeId = 0;
  #lastServedId = 0;
  #lateFrames = 0;
  #malformedMessages = 0;

  /** Starts listening: serve in the same turn of the event loop, or early calls find nothing there. */
  constructor(port: BusPort, options: BusPeerOptions = {}) {
    this.#port = port;
    this.#onCallEnd = options.onCallEnd;
    // The port only reads the list, and takes none, though its type does not say so.
    this.#outbound = new Outbound((message, transfer) => port.postMessage(message, transfer as Transferable[]));
    this.#link = {
      send: (frame, transfer) => this.#send(frame, transfer),
      gather: (frame, transfer, onUnsendable) => {
        if (this.#closeReason === undefined) this.#outbound.gather(frame, transfer, onUnsendable);
      },
      closeReason: () => this.#closeReason,
      startedAtMs: () => (this.#onCallEnd === undefined ? 0 : monotonicNowMs()),
      ended: (role, callId, method, code, startedAtMs) => this.#ended(role, callId, method, code, startedAtMs),
    };
    port.on('message', this.#onMessage);
    port.on('messageerror', this.#onMessageError);
    port.on(port instanceof Worker ? 'exit' : 'close', this.#onPortClosed);
  }

  /** The methods of `service`, served by the other end, as functions. */
  client<M extends Methods>(service: Service<M>): Client<M> {
    const client: Record<string, unknown> = {};
    for (const [name, spec] of Object.entries(service.methods)) {
      const path = `${service.name}.${name}`;
      client[name] =
        spec.kind === 'unary'
          ? (request: unknown, options?: CallOptions) => this.#callUnary(path, request, options)
          : (request: unknown, options?: AnyStreamOptions) => this.#callStream(path, spec, request, options);
    }
    return client as Client<M>;
  }

  /**
   * Answers the other end's calls to `service` with `implementation`, whose methods keep it as their `this`.
   * @throws {BusError} ALREADY_EXISTS when a service of this name is served already.
   */
  serve<M extends Methods>(service: Service<M>, implementation: Implementation<M>): void {
    for (const [name, spec] of Object.entries<MethodSpec>(service.methods)) {
      const path = `${service.name}.${name}`;
      if (this.#served.has(path)) throw new BusError(Status.AlreadyExists, `${path} is served already`);
      const handler = (implementation as Record<string, AnyHandler>)[name];
      if (handler !== undefined) this.#served.set(path, { path, spec, handler: handler.bind(implementation) });
    }
  }

  /** Calls made here and not settled. */
  get pendingCalls(): number {
    return this.#made.size;
  }

  /** Calls served here and not over. */
  get servedCalls(): number {
    return this.#serving.size;
  }

  /** Frames of calls that were over, or unknown, when they arrived. Some are normal: they crossed a cancellation. */
  get lateFrames(): number {
    return this.#lateFrames;
  }

  /** Messages that were no frames: somebody else posts to this port. */
  get malformedMessages(): number {
    return this.#malformedMessages;
  }

  /** Resolves with the reason (an UNAVAILABLE error) once the peer is closed, from either end. Never rejects. */
  get closed(): Promise<BusError> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
  }

  /**
   * Settles every call made here with UNAVAILABLE, aborts every call served here, and closes the port (a `Worker` is not
   * terminated). All of it before it returns; idempotent. Answers sent before still arrive.
   */
  close(reason = 'the peer was closed'): void {
    this.#send([Tag.Bye, 0, reason]);
    this.#shutDown(new BusError(Status.Unavailable, reason));
  }

  /** Listening no longer keeps the thread's event loop alive. */
  unref(): void {
    this.#port.unref();
  }

  /** Undoes {@link unref}. */
  ref(): void {
    this.#port.ref();
  }

  #callUnary(path: string, request: unknown, options: CallOptions | undefined): unknown {
    const id = ++this.#lastMadeId;
    const call = new UnaryClientCall(this.#link, id, path);
    this.#made.set(id, call);
    return call.start(request, options);
  }

  #callStream(path: string, spec: MethodSpec, request: unknown, options: AnyStreamOptions | undefined): unknown {
    const id = ++this.#lastMadeId;
    const call = new StreamClientCall(this.#link, id, path, spec, options);
    this.#made.set(id, call);
    return call.start(request, options);
  }

  #send(frame: Frame, transfer: readonly Transferable[] | undefined = undefined): void {
    if (this.#closeReason !== undefined) return;
    this.#outbound.send(frame, transfer);
  }

  #ended(role: Role, callId: number, method: string, code: StatusCode, startedAtMs: number): void {
    (role === 'client' ? this.#made : this.#serving).delete(callId);
    if (this.#onCallEnd === undefined) return;
    try {
      this.#onCallEnd({ method, code, durationMs: monotonicNowMs() - startedAtMs, role });
    } catch (error) {
      // The observer's bug is nobody else's: the call is settled all the same and the error surfaces as uncaught.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  readonly #onMessage = (message: unknown): void => {
    if (!isFrame(message)) {
      this.#malformedMessages += 1;
      return;
    }
    if (message[0] === Tag.Batch) message[2].forEach(this.#onMessage);
    else this.#onFrame(message);
  };

  #onFrame(message: Frame): void {
    const callId = message[1];
    switch (message[0]) {
      case Tag.Call:
        this.#serveCall(message);
        break;
      case Tag.Answer:
        this.#madeCall(callId)?.receiveAnswer(message[2]);
        break;
      case Tag.Failure:
        this.#madeCall(callId)?.receiveFailure(message[2]);
        break;
      case Tag.ServerItem:
        this.#madeCall(callId)?.receiveItem(message[2], message[3] ?? 1);
        break;
      case Tag.ServerGrant:
        this.#madeCall(callId)?.receiveGrant(message[2]);
        break;
      case Tag.ClientItem:
        this.#servedCall(callId)?.receiveItem(message[2], message[3] ?? 1);
        break;
      case Tag.ClientGrant:
        this.#servedCall(callId)?.receiveGrant(message[2]);
        break;
      case Tag.ClientEnd:
        this.#servedCall(callId)?.receiveEnd();
        break;
      case Tag.Cancel:
        this.#servedCall(callId)?.receiveCancel(message[2], message[3]);
        break;
      case Tag.Bye:
        this.#shutDown(new BusError(Status.Unavailable, `the other end has closed: ${message[2]}`));
        break;
    }
  }

  #madeCall(callId: number): ClientCall | undefined {
    const call = this.#made.get(callId);
    if (call === undefined) this.#lateFrames += 1;
    return call;
  }

  #servedCall(callId: number): ServerCall | undefined {
    const call = this.#serving.get(callId);
    if (call === undefined) this.#lateFrames += 1;
    return call;
  }

  #serveCall(frame: CallFrame): void {
    const callId = frame[1];
    const method = frame[2];
    // Numbers only rise, so one that does not was served before, and must not be served twice.
    if (callId <= this.#lastServedId) {
      this.#lateFrames += 1;
      return;
    }
    this.#lastServedId = callId;
    const served = this.#served.get(method);
    const call = new ServerCall(this.#link, callId, served?.path ?? method);
    this.#serving.set(callId, call);
    call.start(served, frame);
  }

  readonly #onMessageError = (cause: unknown): void => {
    // A frame was lost and nobody can say whose: a call may wait for it forever, a stream may have a hole.
    const lost = new BusError(Status.DataLoss, 'a message could not be deserialized', { cause });
    this.#send([Tag.Bye, 0, lost.message]);
    this.#shutDown(new BusError(Status.Unavailable, lost.message, { cause: lost }));
  };

  readonly #onPortClosed = (): void => {
    this.#shutDown(new BusError(Status.Unavailable, 'the port is closed'));
  };

  #shutDown(reason: BusError): void {
    if (this.isClosed) return;
    this.#closeReason = reason;
    const port = this.#port;
    port.off('message', this.#onMessage);
    port.off('messageerror', this.#onMessageError);
    port.off(port instanceof Worker ? 'exit' : 'close', this.#onPortClosed);
    if (!(port instanceof Worker)) port.close();
    // Each call takes itself off the table as it is settled, which iterating a Map allows.
    for (const call of this.#made.values()) call.lost(reason);
    for (const call of this.#serving.values()) call.lost(reason);
    this.#closed.resolve(reason);
  }
}
