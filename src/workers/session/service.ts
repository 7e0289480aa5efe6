import { bidi, clientStream, defineService, serverStream, unary } from '../../bus/index.ts';
import type { HistogramCounts } from '../../metrics/histogram-counts.ts';
import type { CallerAudio, ConversationSetup } from '../../upstream/ai-conversation.ts';
import type { ReplayItem } from '../../upstream/conversation.ts';
import type {
  ConnectResult,
  InterruptVerdict,
  OpenItem,
  ReplyAudio,
  SessionEvent,
  ToolCall,
  ToolResult,
} from '../../upstream/host.ts';

/** Everything a session worker needs to know to hold one call's conversation. */
export interface OpenRequest extends ConversationSetup {
  readonly sessionKey: string;
  /** `SILENCE_MS` of silence in the upstream's format, as base64: sent while the client sends nothing. */
  readonly silence: string;
}

export interface OpenAnswer {
  readonly upstreamSessionId: string | undefined;
}

/** A session's event, with the worker's time at which it happened, in milliseconds of `monotonicNowMs`. */
export type ReportedEvent = SessionEvent & { readonly atMs: number };

export type SessionCommand =
  | { readonly type: 'dtmf'; readonly digits: string }
  | { readonly type: 'prompt'; readonly instructions: string }
  /** `keptMs`: how much of the item the caller is still to hear. */
  | { readonly type: 'cancel_reply'; readonly itemId: string; readonly keptMs: number };

interface SessionRef {
  readonly sessionKey: string;
}

/**
 * What a session worker does for the main thread. A session's three streams are opened first, then `open` connects it:
 * nothing it says can be missed. Audio flows with credit, control events without: they are rare and never wait.
 */
export const SessionWorkerService = defineService('session', {
  open: unary<OpenRequest, OpenAnswer>(),
  /** Caller audio, in order. Ends with the session. */
  uplink: clientStream<CallerAudio, void, SessionRef>({ window: 50, gather: true }),
  /** Reply audio, in order. */
  downlink: serverStream<SessionRef, ReplyAudio>({ window: 64 }),
  events: serverStream<SessionRef, ReportedEvent>({ window: Number.POSITIVE_INFINITY }),
  command: unary<SessionRef & { readonly command: SessionCommand }, void>(),
  close: unary<SessionRef, void>(),
});

export interface WorkerReport {
  readonly uplinkLatency?: HistogramCounts | undefined;
  /** Time the worker's thread was running code. */
  readonly busySeconds: number;
}

/** What the main thread does for its session workers. */
export const GatewayService = defineService('gateway', {
  isPlaying: unary<SessionRef & { readonly items: readonly OpenItem[] }, boolean>(),
  interrupt: unary<
    SessionRef & { readonly items: readonly OpenItem[]; readonly startedAtMs: number },
    InterruptVerdict
  >(),
  runTool: unary<SessionRef & { readonly call: ToolCall }, ToolResult>(),
  history: unary<SessionRef, readonly ReplayItem[]>(),
  /**
   * A permit to open one upstream connection, by one limit for all workers: its one item down says that it is granted,
   * its one item up what became of it. A call that ends without one, as with its worker, gives the permit back.
   */
  connect: bidi<ConnectResult, 'granted', SessionRef & { readonly endsAtMs: number }>(),
  /** What was measured on the worker since its last report. */
  report: unary<WorkerReport, void>(),
});

const STREAMS = new Set(
  [SessionWorkerService, GatewayService].flatMap(({ name, methods }) =>
    Object.entries(methods)
      .filter(([, { kind }]) => kind !== 'unary')
      .map(([method]) => `${name}.${method}`),
  ),
);

/** Whether a method (`service.method`) is a stream: it lasts as long as its call, which is no latency. */
export function isStream(method: string): boolean {
  return STREAMS.has(method);
}
