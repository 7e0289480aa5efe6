import type { AudioFormat, DeclaredAudio } from '../audio/codec.ts';
import type { AudioReceiver, DownStream, DownStreamRequest } from '../call/duplex/down-stream.ts';
import type { CallMark, CallNews } from '../call/live-call.ts';
import type { AudioSender, UpStream, UpStreamRequest } from '../call/duplex/up-stream.ts';
import type { CallEvents } from './event-schemas.ts';
import type { KeyHolder, Permission } from './key-ring.ts';
import type { LiveCall } from './live-schemas.ts';
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
  /** Who asks; absent: the gateway itself. */
  readonly by?: KeyHolder;
}

export function may({ by }: Scope, permission: Permission): boolean {
  return by?.may.includes(permission) ?? true;
}

/** Audio as a client sent it. */
export interface ChunkAudio {
  /** Base64 text, or the bytes of an unencoded body. */
  readonly data: string | Uint8Array;
  /**
   * What an unencoded body's media type said; absent for JSON bodies, whose audio is in the call's own format unless
   * it is a WAV file.
   */
  readonly declared?: DeclaredAudio | undefined;
}

/** One `stream` request. */
export interface IncomingChunk {
  readonly audio?: ChunkAudio | undefined;
  readonly chunkSeq?: number | undefined;
  readonly dtmf?: string | undefined;
  /** When the request had been read, in milliseconds of `monotonicNowMs`. */
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

/** Whether a client that waits for an answer has gone. Lighter than an `AbortSignal`, of which ten a second and call count. */
export interface Departure {
  readonly isGone: boolean;
  /** Set by whoever wants to be told. */
  onGone: (() => void) | undefined;
}

/** What a client says of its end: what has arrived, and what of it the caller has heard. */
export interface ClientReport {
  readonly ack?: number | undefined;
  /** Milliseconds of `generation`'s audio. */
  readonly playedMs?: number | undefined;
  /** Without the present one `playedMs` is ignored. */
  readonly generation?: number | undefined;
}

/** Which kind of request reads: `interrupted` is told once to each. */
export type DeliveryKind = 'poll' | 'stream';

/** One call, as the routes see it. */
export interface CallSession {
  /** Unique among all calls ever. */
  readonly id: string;
  readonly generation: number;
  /**
   * Takes a chunk in; resolves when its audio was accepted and is on its way upstream.
   * @throws {ApiError} `invalid_audio`, `upstream_busy`, `session_not_found` once the call has ended
   */
  stream(chunk: IncomingChunk): Promise<void>;
  /** Uses up the number of a chunk that was refused. */
  consume(chunkSeq: number): void;
  /** What is queued now, for the answer of a `stream` request. */
  deliver(query: DeliveryQuery): Delivery;
  /** As `deliver`, but waits up to `timeoutMs` for something to come; a later poll ends the wait, or the client's going. */
  poll(query: DeliveryQuery, timeoutMs: number, client: Departure): Promise<Delivery>;
  report(report: ClientReport): void;
  /** Whether the answer of a `stream` request is to tell of an interruption: once after each. */
  takeInterrupted(): boolean;
  /** That answer was lost: the next one tells. */
  giveBackInterrupted(): void;
  /** Ends the call, or repeats the summary of an ended one. */
  end(): Promise<EndAnswer>;
  /** The format of its audio where nobody says otherwise. */
  readonly format: AudioFormat;
  /**
   * A client streams audio up from now on, in the place of one that did before.
   * @throws {ApiError} `session_not_found` once the call has ended
   */
  openUp(request: UpStreamRequest, sender: AudioSender): UpStream;
  /**
   * A client is played the replies from now on, in the place of one that was before.
   * @throws {ApiError} `session_not_found` once the call has ended
   */
  openDown(request: DownStreamRequest, receiver: AudioReceiver): DownStream;
  /** A streaming client is gone. Idempotent. */
  left(stream: UpStream | DownStream): void;
  info(): SessionInfo;
  /** What happened on the call so far; nothing personal is in it. */
  events(): CallEvents;
  /** How it stands; the caller's number is whole. */
  live(): LiveCall;
  /** Rises whenever there is news. */
  readonly mark: CallMark;
  /** What has happened since a mark; without one, everything that is kept. */
  news(since?: CallMark): CallNews;
  /** Why the call could not go on, where it could not. */
  readonly error: string | undefined;
}

/** The gateway, as the routes see it. */
export interface CallGateway {
  /** Whose call a create request is about. @throws {ApiError} `forbidden` where it is another tenant's */
  tenantOf(scope: Scope, body: Pick<CreateBody, 'tenantId'>): string;
  /**
   * @param client who waits for the answer: a call whose clients have all gone by then is ended soon
   * @throws {ApiError} as the contract's table says
   */
  createSession(scope: Scope, body: CreateBody, requestId: string, client: Departure): Promise<CreateAnswer>;
  /** @throws {ApiError} `session_not_found`, `ambiguous_call_id` */
  findSession(scope: Scope, callId: string): CallSession;
  listSessions(scope: Scope): SessionInfo[];
  /** Every call of this node that has not ended. */
  runningCalls(): Iterable<CallSession>;
  health(): Health;
  readiness(): Readiness;
  /** The Prometheus exposition. */
  metrics(): Promise<{ contentType: string; text: string }>;
}
