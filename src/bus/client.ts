import type { Transferable } from 'node:worker_threads';
import type { CallContext } from './handler.ts';
import type { Method, Methods } from './service.ts';
import type { Sink, Source } from './stream.ts';

/** What every call may be given. */
export interface CallOptions {
  /**
   * Milliseconds until both ends give up with DEADLINE_EXCEEDED. Absent or `Infinity`: no deadline, and no timer. 0 or
   * less: the call fails without being sent.
   */
  timeoutMs?: number | undefined;
  /** Cancels the call when it aborts, with its reason as the error's `cause`. */
  signal?: AbortSignal | undefined;
  /**
   * The call on whose behalf this one is made, as a handler that calls back passes its own context: this call is over no
   * later than that one. The earlier deadline wins, and a cancelled parent cancels this call.
   */
  parent?: Pick<CallContext, 'deadline' | 'signal'> | undefined;
  /** What moves to the server with the request instead of being copied. */
  transfer?: readonly Transferable[] | undefined;
}

/** Options of a call that streams in one direction. */
export interface StreamCallOptions extends CallOptions {
  /** This call's window in place of the definition's: see `FlowControl`. */
  window?: number | undefined;
}

/** Options of a call that streams in both directions. */
export interface BidiCallOptions extends CallOptions {
  /** Client to server, in place of the definition's window. */
  upWindow?: number | undefined;
  /** Server to client, in place of the definition's window. */
  downWindow?: number | undefined;
}

/** A call that can be given up. */
export interface Cancellable {
  /**
   * Settles the call with CANCELLED at once and aborts the handler's signal. `reason` is the error's `cause` here; the
   * handler sees its message. Once the call is over, all it does is drop items not yet consumed.
   */
  cancel(reason?: unknown): void;
}

/** The answer of a unary call. Every failure is a {@link BusError}. */
export interface UnaryCall<Answer> extends Promise<Answer>, Cancellable {}

/** A stream of items from the server. Leaving a `for await` loop early cancels the call. */
export interface ServerStreamCall<Item> extends Source<Item>, Cancellable {}

/** A stream of items to the server, which answers once, at whatever time it likes. */
export interface ClientStreamCall<Item, Answer> extends Cancellable {
  readonly sink: Sink<Item>;
  /** The server's answer, or the {@link BusError} the call ended with. May be ignored. */
  readonly answer: Promise<Answer>;
}

/** Streams both ways. The call is over when the server ends its own, whether or not the client has ended its. */
export interface BidiCall<Up, Down> extends Source<Down>, Cancellable {
  readonly sink: Sink<Up>;
}

/** How a client calls one method. A method whose request is `void` is called without one. */
export type ClientMethod<M> =
  M extends Method<'unary', infer Request, infer _Up, infer Answer>
    ? (request: Request, options?: CallOptions) => UnaryCall<Answer>
    : M extends Method<'serverStream', infer Request, infer _Up, infer Item>
      ? (request: Request, options?: StreamCallOptions) => ServerStreamCall<Item>
      : M extends Method<'clientStream', infer Request, infer Item, infer Answer>
        ? (request: Request, options?: StreamCallOptions) => ClientStreamCall<Item, Answer>
        : M extends Method<'bidi', infer Request, infer Up, infer Down>
          ? (request: Request, options?: BidiCallOptions) => BidiCall<Up, Down>
          : never;

/** A service as its callers see it. The methods need no `this`. */
export type Client<M extends Methods> = { readonly [Name in keyof M]: ClientMethod<M[Name]> };
