import { randomBytes } from 'node:crypto';

/** Where a call stands in a trace: W3C Trace Context. */
export interface TraceContext {
  readonly traceId: string;
  /** The call's own span; of a gateway that makes no spans, that of whoever asked for the call. */
  readonly spanId: string;
  /** The span of whoever asked for the call. */
  readonly parentSpanId?: string | undefined;
  readonly isSampled: boolean;
  /** `tracestate`, passed on as it came. */
  readonly state?: string | undefined;
}

/** The headers of a request, as they came. */
export interface TraceFields {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/**
 * The context of a call.
 * @param makesSpans whether the call is to have a span of its own; otherwise what came is passed on, if anything came
 */
export function traceContext(fields: TraceFields, makesSpans: boolean): TraceContext | undefined {
  const parent = parsed(fields);
  if (!makesSpans) return parent;
  const spanId = randomBytes(8).toString('hex');
  if (!parent) return { traceId: randomBytes(16).toString('hex'), spanId, isSampled: true };
  return { ...parent, spanId, parentSpanId: parent.spanId };
}

/** The headers of a request that is made in a context. */
export function traceHeaders(context: TraceContext | undefined): Record<string, string> {
  if (!context) return {};
  const { traceId, spanId, isSampled, state } = context;
  const traceparent = `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
  return { traceparent, ...(state === undefined ? {} : { tracestate: state }) };
}

/** One that is not as the standard has it is as good as none: a trace begins here. */
function parsed({ traceparent, tracestate }: TraceFields): TraceContext | undefined {
  const [, version, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (!traceId || !spanId || !flags || version === 'ff' || traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  const isState = tracestate !== undefined && /^[\x20-\x7e]{1,512}$/.test(tracestate);
  return { traceId, spanId, isSampled, ...(isState ? { state: tracestate } : {}) };
}
