import type { CallEvents } from './event-schemas.ts';
import type {
  CreateAnswer,
  CreateBody,
  DeliveryQuery,
  EndAnswer,
  Health,
  PollAnswer,
  Readiness,
  SessionInfo,
} from './schemas.ts';

/** Whose sessions a request may see. `tenantId` undefined: every tenant's. */
export interface Scope {
  readonly tenantId: string | undefined;
}

/** Audio as a client sent it. */
export interface ChunkAudio {
  /** Base64 text, or the bytes of an unencoded body. */
  readonly data: string | Uint8Array;
  /**
   * What an unencoded body's media type said; absent for JSON bodies, whose audio is in the call's own format unless
   * it is a WAV file.
   */
  readonly declared?:
    | { readonly kind: 'wav' }
    | { readonly kind: 'pcm16'; readonly sampleRateHz?: number; readonly bigEndian: boolean }
    | { readonly kind: 'pcmu' | 'pcma' };
}

/** One `stream` request. */
export interface IncomingChunk {
  readonly audio?: ChunkAudio | undefined;
  readonly chunkSeq?: number | undefined;
  readonly dtmf?: string | undefined;
  /** `process.hrtime` in milliseconds when the request had been read. */
  readonly receivedAtMs: number;
}

/**
 * An answer with what the call's outbox had. Exactly one of `written` and `aborted` is to be called, once the answer
 * has been written whole or the client is gone.
 */
export interface Delivery {
  readonly answer: PollAnswer;
  written(): void;
  aborted(): void;
}

/** Which kind of request reads: `interrupted` is told once to each. */
export type DeliveryKind = 'poll' | 'stream';

/** One call, as the routes see it. */
export interface CallSession {
  readonly generation: number;
  /**
   * Takes a chunk in; resolves when its audio was accepted and is on its way upstream.
   * @throws {ApiError} `invalid_audio`, `upstream_busy`, `session_not_found` once the call has ended
   */
  stream(chunk: IncomingChunk): Promise<void>;
  /** What is queued now. */
  deliver(kind: DeliveryKind, query: DeliveryQuery): Delivery;
  /** As `deliver`, but waits up to `timeoutMs` for something to come; a later poll or `signal` ends the wait. */
  poll(query: DeliveryQuery, timeoutMs: number, signal: AbortSignal): Promise<Delivery>;
  /** Takes the client's word on what the caller has heard. */
  reportPlayed(generation: number | undefined, playedMs: number): void;
  /** True once after each interruption for each kind of answer. */
  takeInterrupted(kind: DeliveryKind): boolean;
  /** Ends the call, or repeats the summary of an ended one. */
  end(): Promise<EndAnswer>;
  info(): SessionInfo;
  /** What happened on the call so far; nothing personal is in it. */
  events(): CallEvents;
}

/** The gateway, as the routes see it. */
export interface CallGateway {
  /** @throws {ApiError} as the contract's table says */
  createSession(scope: Scope, body: CreateBody, requestId: string): Promise<CreateAnswer>;
  /** @throws {ApiError} `session_not_found`, `ambiguous_call_id` */
  findSession(scope: Scope, callId: string): CallSession;
  listSessions(scope: Scope): SessionInfo[];
  health(): Health;
  readiness(): Readiness;
  /** The Prometheus exposition. */
  metrics(): Promise<{ contentType: string; text: string }>;
}
