import { type TraceContext, type TraceFields, traceContext } from './context.ts';
import type { TracedCall } from './traced-call.ts';

/** Where the spans of calls go. */
export interface SpanSink {
  /** Takes a call that is over. Whatever happens to its spans, the call hears nothing of it. */
  take(call: TracedCall): void;
  /** Sends what is left, for a while. Idempotent. */
  close(): Promise<void>;
}

/**
 * The traces of calls. A call's spans are made of its timeline once it is over: while it goes on there is its context, for
 * requests that are made in its name.
 */
export class Traces {
  readonly #sink: SpanSink | undefined;

  /** @param sink absent: no spans are made, and contexts are passed on as they come */
  constructor(sink?: SpanSink) {
    this.#sink = sink;
  }

  /** The context of a new call. */
  begin(fields: TraceFields): TraceContext | undefined {
    return traceContext(fields, this.#sink !== undefined);
  }

  /** @param tell what there is to tell of the call; asked only if there is somebody to be told */
  ended(context: TraceContext | undefined, tell: (context: TraceContext) => TracedCall): void {
    if (this.#sink && context?.isSampled) this.#sink.take(tell(context));
  }

  async close(): Promise<void> {
    await this.#sink?.close();
  }
}
