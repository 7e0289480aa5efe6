import { bidi, clientStream, defineService, serverStream, unary } from '../../../src/bus/index.ts';

/** A service with one method for each thing that the tests try out; served by `lab-worker.ts` in a thread of its own. */
export const Lab = defineService('lab', {
  echo: unary<unknown, unknown>(),
  /** Answers with a buffer of this many bytes, moved and not copied. */
  allocate: unary<number, ArrayBuffer>(),
  /** Answers with the byte length that arrived, and that its own copy keeps. */
  measure: unary<Uint8Array, number>(),
  /** Fails with details and a cause chain. */
  fail: unary<string, never>(),
  /** Never answers. */
  hang: unary<void, never>(),
  /** The deadline of this call, and of one that its handler makes back to the caller with this call as its parent. */
  deadlines: unary<{ ownTimeoutMs?: number }, { outer: number | undefined; inner: number | undefined }>(),
  /** 0, 1, … up to the count, with the given pace: as fast as credit allows. */
  count: serverStream<number, number>({ window: 4 }),
  /** Writes one item and stays open. */
  openEnded: serverStream<void, string>(),
  sum: clientStream<number, number>({ window: 4 }),
  swallow: clientStream<number, never>(),
  double: bidi<number, number>({ up: { window: 4 }, down: { window: 4 } }),
  /** Starts a call of `Base.ticks` and leaves it open; answers when the call has been made. */
  callBack: unary<void, void>(),
  /** Ends the thread in one of these ways, without an answer. */
  die: unary<'throw' | 'exit' | 'close', never>(),
});

/** What the worker calls back on the main thread. */
export const Base = defineService('base', {
  deadline: unary<void, number | undefined>(),
  hang: unary<string, never>(),
  ticks: serverStream<void, number>(),
});
