import type { Tokens } from '../upstream/usage.ts';

/** What the store is given and gives back: plain data that can cross to another thread. */

/** Something that went wrong on a call: an event of its timeline. */
export interface Fault {
  readonly atMs: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}

/** What is kept of a call beside what a search looks at. `turns` and `figures` are those of its timeline. */
export interface CallDetails {
  readonly transcript: readonly string[];
  readonly actions: readonly unknown[];
  readonly turns: readonly unknown[];
  readonly faults: readonly Fault[];
  /** Absent: taken over from an older version, which did not keep them. */
  readonly figures?: object | undefined;
  /** Why the call could not go on, where it could not. */
  readonly error?: string | undefined;
  readonly transferReason?: string | undefined;
}

/** A call that is over, as the history keeps it. */
export interface HistoryCall {
  readonly tenantId: string;
  readonly callId: string;
  readonly aiAgentRef: string;
  readonly outcome: string;
  readonly storeId: string | null;
  readonly callerNumber: string | null;
  readonly didNumber: string | null;
  readonly transferredTo: string | null;
  readonly encoding: string | null;
  readonly sampleRateHz: number | null;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  readonly turnCount: number;
  readonly medianTurnMs: number | null;
  readonly interruptionCount: number;
  readonly reconnectCount: number;
  readonly toolCallCount: number;
  readonly faultCount: number;
  /** Of the conversation. */
  readonly model: string | null;
  /** What it cost, where that is known. */
  readonly cost: number | null;
  /** {@link CallDetails} as JSON. */
  readonly details: string;
  /** What was said, for the search: without the labels of the speakers. */
  readonly words: string;
}

/** A recording that begins. */
export interface NewRecording {
  /** The session's. */
  readonly id: string;
  readonly tenantId: string;
  readonly callId: string;
  readonly callerNumber: string | null;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly sampleRateHz: number;
}

/** A finished recording and where it is. */
export interface FoundRecording {
  readonly id: string;
  readonly tenantId: string;
  readonly callId: string;
  readonly path: string;
  readonly byteCount: number;
}

/** What a list says of a call's recording. */
export interface ListedRecording {
  readonly durationMs: number;
  readonly byteCount: number;
  /** False: the disk did not take all of it, or the daemon died. */
  readonly isWhole: boolean;
}

/** A summary that is to be delivered. */
export interface OutgoingSummary {
  readonly tenantId: string;
  readonly callerNumber: string | null;
  /** As JSON: the body of every attempt, whatever happens in between. */
  readonly body: string;
}

/** What a call used. */
export interface UsageEntry {
  readonly tenantId: string;
  readonly aiAgentRef: string;
  /** Of the conversation. */
  readonly model: string;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly audioUpMs: number;
  readonly audioDownMs: number;
  readonly models: readonly {
    readonly model: string;
    readonly tokens: Partial<Tokens>;
    /** Of audio, where the model is billed by it. */
    readonly seconds: number;
    /** Undefined: there was no price. */
    readonly cost?: number | undefined;
  }[];
}

/** What usage is summed by. */
export type UsageGroup = 'tenant' | 'agent' | 'model' | 'day';

/** Which calls' usage is summed. Times are whole quarters of an hour. */
export interface UsageQuery {
  /** Undefined: every tenant's. */
  readonly tenantId: string | undefined;
  /** Milliseconds since the epoch, of the calls' beginning. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Undefined: everything is one sum. */
  readonly by: UsageGroup | undefined;
}

/** A sum of usage. */
export interface UsageRow {
  /** Of the tenant, agent, model or day; empty: the sum of everything. */
  readonly name: string;
  /** A call counts with the model of its conversation. */
  readonly calls: number;
  readonly durationSeconds: number;
  readonly audioSeconds: { readonly up: number; readonly down: number };
  readonly tokens: Tokens;
  /** Of audio, where a model is billed by it. */
  readonly seconds: number;
  readonly cost: number;
  /** Tokens and seconds of models that had no price: the cost is without them. */
  readonly unpriced: number;
}

/** Something to be written of one session. */
export interface StoreEntry {
  /** The session's: unique among all calls ever, and the `Idempotency-Key` of its summary. */
  readonly id: string;
  /** Absent: the history is not kept. */
  readonly call?: HistoryCall | undefined;
  /** What it used, for the sums of it. */
  readonly usage?: UsageEntry | undefined;
  /** Absent: there is nothing to deliver, or it is delivered. */
  readonly summary?: OutgoingSummary | undefined;
  /** What has become of the summary; `none`: there is no backend. */
  readonly summaryState: SummaryState;
}

export type SummaryState = 'none' | 'waiting' | 'delivered' | 'refused';

/** What became of a summary. */
export type SummaryMark =
  | { readonly kind: 'delivered' }
  | {
      readonly kind: 'refused';
      /** Absent: no request could be made of it. */
      readonly status?: number | undefined;
      /** False: what is wrong is the configuration, so it is tried again after the next start. */
      readonly isFinal: boolean;
    };

export interface StoreMark {
  readonly id: string;
  readonly mark: SummaryMark;
}

/** Which calls are looked for. */
export interface CallSearch {
  /** Absent: every tenant's. */
  readonly tenantId?: string | undefined;
  /** Milliseconds since the epoch, of the call's beginning. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly agent?: string | undefined;
  readonly outcome?: string | undefined;
  /** Words of the transcript, the last digits of the caller's number, or a callId. */
  readonly q?: string | undefined;
  /** Where the page before this one ended. */
  readonly cursor?: number | undefined;
  readonly limit: number;
}

/** How a caller's number is shown. */
export type NumberStyle = 'masked' | 'full';

/** A call as the API lists it; the texts of times are ISO 8601, UTC. */
export interface ListedCall {
  readonly sessionId: string;
  readonly callId: string;
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly storeId?: string;
  readonly callerNumber?: string;
  readonly did?: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly outcome: string;
  readonly transferredTo?: string;
  readonly encoding?: string;
  readonly sampleRate?: number;
  readonly turnCount: number;
  readonly medianTurnMs?: number;
  readonly interruptions: number;
  readonly reconnects: number;
  readonly toolCalls: number;
  readonly faultCount: number;
  readonly model?: string;
  readonly cost?: number;
  readonly summary: SummaryState;
  /** Absent: it was not recorded, or its recording is gone. */
  readonly recording?: ListedRecording;
}

export interface CallPage {
  readonly calls: readonly ListedCall[];
  /** Absent: there is nothing after this page. */
  readonly nextCursor?: number | undefined;
}

export type KeptCall = ListedCall & { readonly details: CallDetails };

/** Somebody sees what was said on a call. */
export interface Look {
  /** The name of the key. */
  readonly who: string;
  /**
   * `call`: in the history; `export`: in a file; `recording`: it was heard; `live`: while it went on; `end`: with the answer
   * that ended it.
   */
  readonly what: 'call' | 'export' | 'recording' | 'live' | 'end';
  readonly tenantId: string;
  readonly sessionId: string;
  readonly callId: string;
}

/** Which looks are looked for. */
export interface LookSearch {
  readonly who?: string | undefined;
  /** A sessionId or a callId. */
  readonly call?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly cursor?: number | undefined;
  readonly limit: number;
}

export interface LookPage {
  readonly looks: readonly (Look & { readonly at: string })[];
  readonly nextCursor?: number | undefined;
}
