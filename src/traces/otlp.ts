import { randomBytes } from 'node:crypto';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  type IdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { TracedCall, TracedTurn } from './traced-call.ts';
import type { SpanSink } from './traces.ts';

/** Spans that wait to be sent. A call that finds no more room has no trace. */
const MAX_WAITING = 4_096;
const BATCH_SPANS = 512;
const BATCH_DELAY_MS = 1_000;
const EXPORT_TIMEOUT_MS = 5_000;
const FLUSH_TIMEOUT_MS = 3_000;

export interface OtlpOptions {
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`: `/v1/traces` comes behind it. */
  readonly endpoint: string;
  /** Sent with each batch: `name=value`, with commas between them, percent-encoded. */
  readonly headers: string;
  readonly serviceName: string;
  readonly version: string;
  /** Spans were taken by the receiver, or are lost. */
  readonly onSpans: (outcome: 'exported' | 'lost', count: number) => void;
  /** The receiver does not take them any more, or does again. */
  readonly onReceiver: (problem: Error | undefined) => void;
}

/** Makes spans of calls and sends them over OTLP. An own file: what it imports is loaded only where traces are on. */
export class OtlpSpans implements SpanSink {
  readonly #options: OtlpOptions;
  readonly #ids = new CallIds();
  readonly #processor: BatchSpanProcessor;
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;
  #waitingCount = 0;
  #isFailing = false;
  #closing: Promise<void> | undefined;

  constructor(options: OtlpOptions) {
    this.#options = options;
    this.#processor = new BatchSpanProcessor(this.#exporter(), {
      maxQueueSize: MAX_WAITING,
      maxExportBatchSize: BATCH_SPANS,
      scheduledDelayMillis: BATCH_DELAY_MS,
      exportTimeoutMillis: EXPORT_TIMEOUT_MS,
    });
    const { serviceName, version } = options;
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': serviceName, 'service.version': version }),
      idGenerator: this.#ids,
      // Whoever asked for the call has decided already.
      sampler: new AlwaysOnSampler(),
      spanProcessors: [this.#processor],
    });
    this.#tracer = this.#provider.getTracer('voice-gateway', version);
  }

  take(call: TracedCall): void {
    const count = 1 + call.turns.length;
    if (this.#closing || this.#waitingCount + count > MAX_WAITING) {
      this.#options.onSpans('lost', count);
      return;
    }
    this.#waitingCount += count;
    const context = this.#callSpan(call);
    for (const turn of call.turns) this.#turnSpan(call, turn, context);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const enough = new Promise((resolve) => setTimeout(resolve, FLUSH_TIMEOUT_MS).unref());
    await Promise.race([this.#provider.shutdown().catch(() => {}), enough]);
    if (this.#waitingCount > 0) this.#options.onSpans('lost', this.#waitingCount);
    this.#waitingCount = 0;
  }

  /** @returns the context that its turns are in */
  #callSpan({ context: own, startedAtMs, durationMs, attributes, error, events }: TracedCall): Context {
    const { traceId, parentSpanId } = own;
    const parent =
      parentSpanId === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId,
            spanId: parentSpanId,
            traceFlags: TraceFlags.SAMPLED,
            isRemote: true,
          });
    this.#ids.given = own;
    const span = this.#tracer.startSpan(
      'call',
      { kind: SpanKind.SERVER, startTime: startedAtMs, attributes: plain(attributes) },
      parent,
    );
    this.#ids.given = undefined;
    for (const { type, atMs, ...details } of events) span.addEvent(type, plain(details), startedAtMs + atMs);
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    span.end(startedAtMs + durationMs);
    return trace.setSpan(ROOT_CONTEXT, span);
  }

  #turnSpan({ startedAtMs }: TracedCall, turn: TracedTurn, context: Context): void {
    const { trigger, atMs, speechMs = 0, hops, latencyMs, status, interrupted } = turn;
    const attributes = plain({
      'voice.turn': turn.turn,
      'voice.trigger': trigger,
      'voice.speech_ms': turn.speechMs,
      'voice.latency_ms': latencyMs,
      'voice.status': status,
      'voice.heard_ms': interrupted?.heardMs,
    });
    const startTime = startedAtMs + atMs - speechMs;
    const span = this.#tracer.startSpan(`turn: ${trigger}`, { startTime, attributes }, context);
    if (trigger === 'speech') span.addEvent('speech_stopped', {}, startedAtMs + atMs);
    let endAtMs = atMs;
    for (const { hop, atMs: hopAtMs, ...details } of hops) {
      span.addEvent(hop, plain(details), startedAtMs + hopAtMs);
      endAtMs = Math.max(endAtMs, hopAtMs);
    }
    if (interrupted) {
      const { atMs: cutAtMs, ...details } = interrupted;
      span.addEvent('interrupted', plain(details), startedAtMs + cutAtMs);
      endAtMs = Math.max(endAtMs, cutAtMs);
    }
    if (status === 'failed') span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(startedAtMs + endAtMs);
  }

  /** The exporter with its results counted. */
  #exporter(): SpanExporter {
    const { endpoint, headers } = this.#options;
    const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
    const inner = new OTLPTraceExporter({ url, headers: headersOf(headers), timeoutMillis: EXPORT_TIMEOUT_MS });
    return {
      export: (spans, done) =>
        inner.export(spans, (result) => {
          // 0: taken.
          this.#told(result.code === 0 ? undefined : (result.error ?? new Error('not exported')), spans.length);
          done(result);
        }),
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    };
  }

  #told(problem: Error | undefined, count: number): void {
    const { onSpans, onReceiver } = this.#options;
    this.#waitingCount = Math.max(0, this.#waitingCount - count);
    onSpans(problem ? 'lost' : 'exported', count);
    if (this.#isFailing === (problem !== undefined)) return;
    this.#isFailing = problem !== undefined;
    onReceiver(problem);
  }
}

/** Random ids, but for the spans whose ids others know already. */
class CallIds implements IdGenerator {
  /** The ids of the span that is being made; undefined: any. */
  given: { readonly traceId: string; readonly spanId: string } | undefined;

  generateTraceId(): string {
    return this.given?.traceId ?? randomBytes(16).toString('hex');
  }

  generateSpanId(): string {
    return this.given?.spanId ?? randomBytes(8).toString('hex');
  }
}

/** Attributes as OpenTelemetry has them: no objects, and nothing that is not there. */
function plain(details: Readonly<Record<string, unknown>>): Attributes {
  const entries = Object.entries(details).flatMap(([name, value]): [string, string | number | boolean][] => {
    if (value === undefined || value === null) return [];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return [[name, value]];
    return [[name, JSON.stringify(value)]];
  });
  return Object.fromEntries(entries);
}

function headersOf(text: string): Record<string, string> {
  const pairs = text.split(',').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at < 1 ? [] : [[pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())]];
  });
  return Object.fromEntries(pairs);
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
