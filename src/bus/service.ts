import { BusError } from './error.ts';
import { Status } from './status.ts';

/** Which of the two ends streams. */
export type MethodKind = 'unary' | 'serverStream' | 'clientStream' | 'bidi';

/** Items a writer may send ahead of their consumption unless the definition or the call says otherwise. */
export const DEFAULT_WINDOW = 32;

/**
 * How one direction of a stream is held back.
 *
 * `window` is the credit the writer starts with, and so the most that can be unconsumed at the reader: a number of items,
 * or a total weight where `weigh` says what one item weighs (bytes, milliseconds). An item may be sent as long as any
 * credit is left, so an item heavier than the window still passes, alone. `Infinity` opts out: for rare messages that
 * must never wait.
 */
export type FlowControl<Item> = (
  | { readonly window?: number }
  | { readonly window: number; readonly weigh: (item: Item) => number }
) & {
  /** Items written in one turn, by all calls of a peer, travel in one message: for small items of many calls at once. */
  readonly gather?: boolean;
};

/** One direction of a stream, as the bus uses it. */
export interface Flow {
  readonly window: number;
  readonly weigh: ((item: unknown) => number) | undefined;
  readonly gather: boolean;
}

/** What a method is at run time, its types forgotten. */
export interface MethodSpec {
  readonly kind: MethodKind;
  /** Client to server; present when the client streams. */
  readonly up: Flow | undefined;
  /** Server to client; present when the server streams. */
  readonly down: Flow | undefined;
}

/**
 * A method of a service. `Request` opens the call; `Up` is what the client streams (or `never`), `Down` what the server
 * answers, once or as a stream.
 */
export interface Method<Kind extends MethodKind, Request, Up, Down> extends MethodSpec {
  readonly kind: Kind;
  /** Carries the types; never set. */
  readonly types?: (request: Request, up: Up) => Down;
}

export type Methods = Readonly<Record<string, MethodSpec>>;

/** A named set of methods. Both ends import the same one: it is all that they share. */
export interface Service<M extends Methods = Methods> {
  readonly name: string;
  readonly methods: M;
}

/** Defines a service. Names need only be unique among the services of one peer. */
export function defineService<M extends Methods>(name: string, methods: M): Service<M> {
  return { name, methods };
}

/** One request, one answer. `void` for either when there is nothing to say. */
export function unary<Request, Answer>(): Method<'unary', Request, never, Answer> {
  return { kind: 'unary', up: undefined, down: undefined };
}

/** One request, a stream of items back. */
export function serverStream<Request, Item>(
  flow: FlowControl<Item> = {},
): Method<'serverStream', Request, never, Item> {
  return { kind: 'serverStream', up: undefined, down: toFlow(flow) };
}

/** A stream of items up, one answer back. `Request` opens the call, if there is something to say before the items. */
export function clientStream<Item, Answer, Request = void>(
  flow: FlowControl<Item> = {},
): Method<'clientStream', Request, Item, Answer> {
  return { kind: 'clientStream', up: toFlow(flow), down: undefined };
}

/** Items both ways, each direction at its own pace. `Request` opens the call, if there is something to say first. */
export function bidi<Up, Down, Request = void>(
  flow: { up?: FlowControl<Up>; down?: FlowControl<Down> } = {},
): Method<'bidi', Request, Up, Down> {
  return { kind: 'bidi', up: toFlow(flow.up ?? {}), down: toFlow(flow.down ?? {}) };
}

/** Whether a stream can have this window: anything above 0, `Infinity` included. Without credit nothing would move. */
export function isWindow(window: number): boolean {
  return window > 0;
}

function toFlow<Item>(flow: FlowControl<Item>): Flow {
  const window = flow.window ?? DEFAULT_WINDOW;
  if (!isWindow(window)) {
    throw new BusError(Status.InvalidArgument, `a stream's window must be above 0, not ${window}`);
  }
  return {
    window,
    // The definition's types have checked it; from here on the bus handles items of every type alike.
    weigh: 'weigh' in flow ? (flow.weigh as (item: unknown) => number) : undefined,
    gather: flow.gather ?? false,
  };
}
