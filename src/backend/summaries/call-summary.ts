/** Something the agent did in a call: a tool it ran, a transfer, the end of the call. */
export interface RecordedAction {
  readonly name: string;
  /** The gateway did it by itself. Absent: the agent did. */
  readonly by?: 'gateway';
  readonly arguments?: unknown;
  /** What came of it, in a word or two. */
  readonly outcome: string;
  readonly durationMs: number;
}

/** What one model was used for on a call. */
export interface SummaryModelUsage {
  readonly model: string;
  /** By kind, each token counted once. */
  readonly tokens: Readonly<Record<string, number>>;
  /** Of audio, where the model is billed by it. */
  readonly seconds: number;
  /** Absent: the list of prices does not have the model. */
  readonly cost?: number;
}

/** What a call used and cost. */
export interface SummaryUsage {
  /** Of the conversation. */
  readonly model: string;
  readonly tokens: Readonly<Record<string, number>>;
  readonly audioSeconds: { readonly up: number; readonly down: number };
  /** Transcription included. */
  readonly models: readonly SummaryModelUsage[];
  readonly cost?: number;
  readonly currency: string;
}

/** What the W3 backend is told of a call that is over: the body of `POST /api/voip/ai-sessions`. */
export interface CallSummary {
  readonly callId: string;
  readonly sessionId: string;
  readonly aiAgentRef: string;
  readonly storeId: string | null;
  readonly callerNumber: string | null;
  readonly didNumber: string | null;
  /** ISO 8601, UTC. */
  readonly startTs: string;
  readonly endTs: string;
  readonly durationSeconds: number;
  /** `[User]: …` and `[AI]: …`, in the order of the conversation. */
  readonly transcript: readonly string[];
  readonly actionsTaken: readonly RecordedAction[];
  /** The extension the call was transferred to. */
  readonly transferredTo: string | null;
  readonly transferReason: string | null;
  readonly usage: SummaryUsage;
  /** W3C Trace Context of the call, which its request has in its headers. Absent: it was in no trace. */
  readonly trace?: Readonly<Record<string, string>>;
}
