import type { Method, Methods } from './service.ts';
import type { Sink, Source } from './stream.ts';
import type { Transferred } from './transfer.ts';

/** What a handler knows of the call it serves. */
export interface CallContext {
  /** `"service.method"`. */
  readonly method: string;
  /** When the caller gives up, in milliseconds on the clock of `monotonicNowMs()`; `undefined` when it never does. */
  readonly deadline: number | undefined;
  /** Milliseconds left until {@link deadline}, 0 once it has passed; `Infinity` without one. */
  timeRemainingMs(): number;
  /**
   * Aborts when the call is over before the handler has ended it: cancelled, out of time, failed by an item that cannot
   * be sent or consumed, or the port has closed. The reason is the {@link BusError} that says which. A handler that
   * finishes its call in the ordinary way does not see it abort. Created when first asked for.
   */
  readonly signal: AbortSignal;
}

/** What a handler that answers once may return; see {@link withTransfer} for answers that move buffers. */
export type Answered<Answer> = Answer | Transferred<Answer> | Promise<Answer | Transferred<Answer>>;

/**
 * How a server implements one method. What a handler throws (or rejects with) fails its call: a {@link BusError} as it
 * is, anything else as UNKNOWN.
 *
 * A streaming handler may return at once and write later, from events: its call lasts until `sink.end()` or
 * `sink.fail()`, not until the handler returns.
 */
export type Handler<M> =
  M extends Method<'unary', infer Request, infer _Up, infer Answer>
    ? (request: Request, context: CallContext) => Answered<Answer>
    : M extends Method<'serverStream', infer Request, infer _Up, infer Item>
      ? (request: Request, sink: Sink<Item>, context: CallContext) => void | Promise<void>
      : M extends Method<'clientStream', infer Request, infer Item, infer Answer>
        ? (request: Request, source: Source<Item>, context: CallContext) => Answered<Answer>
        : M extends Method<'bidi', infer Request, infer Up, infer Down>
          ? (request: Request, source: Source<Up>, sink: Sink<Down>, context: CallContext) => void | Promise<void>
          : never;

/** An implementation of every method of a service: an object literal or an instance of a class. */
export type Implementation<M extends Methods> = { readonly [Name in keyof M]: Handler<M[Name]> };
