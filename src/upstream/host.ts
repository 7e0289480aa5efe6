import type { ReplayItem } from './conversation.ts';
import type { Misfit } from './misfit.ts';
import type { Tokens, Usage } from './usage.ts';

/**
 * Why the upstream failed, as the gateway reacts to it.
 * - `refused`: it will say no again (key, model, request)
 * - `rate_limited`, `unavailable`, `timeout`: another try may succeed
 * - `protocol`: it said something that ends this session
 */
export type UpstreamErrorClass = 'refused' | 'rate_limited' | 'unavailable' | 'timeout' | 'protocol';

/** What a conversation reports, in order. Plain data: it crosses threads. Times are milliseconds of `monotonicNowMs`. */
export type SessionEvent =
  | { readonly type: 'ready'; readonly connectMs: number; readonly attempt: number; readonly atMs: number }
  | { readonly type: 'speech_started'; readonly itemId: string; readonly atMs: number }
  | { readonly type: 'speech_stopped'; readonly itemId: string; readonly atMs: number }
  | {
      readonly type: 'item_added';
      readonly itemId: string;
      readonly previousItemId: string | null;
      readonly role: 'user' | 'assistant';
    }
  | { readonly type: 'item_removed'; readonly itemId: string }
  /** The upstream knows an item by another id from here on. */
  | { readonly type: 'item_renamed'; readonly itemId: string; readonly newItemId: string }
  /** `text` null: the transcription failed. */
  | { readonly type: 'user_text'; readonly itemId: string; readonly text: string | null }
  /** What the transcription of a turn is billed with, whatever becomes of its text. */
  | { readonly type: 'transcription_used'; readonly usage: Usage }
  /** Everything the assistant said in an item, heard or not, and how long that takes. Comes once an item. */
  | { readonly type: 'assistant_text'; readonly itemId: string; readonly text: string; readonly audioMs: number }
  | { readonly type: 'response_started'; readonly responseId: string; readonly atMs: number }
  | {
      readonly type: 'response_done';
      readonly responseId: string;
      readonly status: string;
      /** Why it was not completed. */
      readonly reason?: string;
      /** The same in the upstream's words, for the log. */
      readonly message?: string;
      readonly tokens?: Tokens;
    }
  /** An event of the upstream, or a part of one, could not be used. */
  | {
      readonly type: 'event_unusable';
      readonly reason: UnusableReason;
      /** The event's own type. */
      readonly eventType: string;
      /** Where handling it failed: what happened, with the stack. */
      readonly defect?: string;
    }
  /** The upstream left something open, and the session went on without it. */
  | { readonly type: 'repaired'; readonly kind: RepairKind }
  | { readonly type: 'dtmf_sent'; readonly digits: string }
  | { readonly type: 'truncated'; readonly itemId: string; readonly audioEndMs: number }
  | {
      readonly type: 'upstream_error';
      readonly verdict: 'benign' | 'retryable' | 'fatal';
      readonly code: string;
      readonly message: string;
    }
  /** The server does not transcribe the caller as it was asked to: the call goes on without the caller's words. */
  | {
      readonly type: 'transcription_refused';
      readonly model: string;
      readonly code: string;
      readonly message: string;
    }
  /** The server does not speak the protocol as the gateway does. Told once a kind. */
  | { readonly type: 'misfit'; readonly misfit: Misfit }
  | {
      readonly type: 'upstream_lost';
      readonly code: string;
      readonly message: string;
      /** The caller waits for an answer, or for the rest of one. */
      readonly isAnswerDue: boolean;
    }
  | {
      readonly type: 'upstream_restored';
      readonly outageMs: number;
      readonly attempt: number;
      readonly droppedAudioMs: number;
    }
  | { readonly type: 'rotated'; readonly tookMs: number }
  /** The server named an end of its session that cannot be, and so was not believed. */
  | { readonly type: 'expiry_ignored'; readonly expiresAt: string }
  /** The session is over; nothing follows. */
  | { readonly type: 'upstream_failed'; readonly code: string; readonly message: string };

/**
 * Why an event of the upstream, or a part of it, cannot be used. `not_json`: the frame is no event; `repeat`: the same
 * event came just before; `internal`: a defect of the gateway in handling it. The others name what is missing or wrong.
 */
export type UnusableReason =
  | 'not_json'
  | 'repeat'
  | 'id'
  | 'text'
  | 'audio'
  | 'item'
  | 'response'
  | 'tokens'
  | 'internal';

/**
 * How a session goes on from what the upstream left open. `request_repeated`: a request for a response was not taken
 * up; `response_lost`: a response broke off without a word; `end_assumed`: the end of a response was not told;
 * `answer_empty`: an answer had nothing in it; `turn_assumed`: the beginning or the end of the caller's turn was not told.
 */
export type RepairKind = 'request_repeated' | 'response_lost' | 'end_assumed' | 'answer_empty' | 'turn_assumed';

/** A piece of a reply item's audio, the mark behind its last piece, or a mark between pieces. */
export type ReplyAudio =
  | {
      readonly kind: 'delta';
      readonly itemId: string;
      /** As it came: base64 in the upstream's encoding. */
      readonly base64: string;
      readonly audioMs: number;
      /** What has been added to the item's text since the piece before. */
      readonly text?: string;
      /** When it came off the socket. */
      readonly receivedAtMs: number;
    }
  | { readonly kind: 'end'; readonly itemId: string }
  /** Everything that was said before this tool was called has been sent. */
  | { readonly kind: 'tool'; readonly toolCallId: string };

/** A reply item that the caller may not have heard to its end. */
export interface OpenItem {
  readonly itemId: string;
  readonly receivedMs: number;
  /** The profile says that it is not to be interrupted. */
  readonly isProtected: boolean;
}

/** A reply of an earlier session of the same call, which the caller may not have heard to its end. */
export interface HandedReply {
  readonly itemId: string;
  readonly text: string;
  /** What all of the text takes to say. */
  readonly audioMs: number;
}

/** What the gateway decided about an interruption. */
export interface InterruptVerdict {
  /** Items cut short, with the milliseconds that were heard. Empty: there was nothing to interrupt. */
  readonly cuts: readonly { readonly itemId: string; readonly heardMs: number }[];
  /** Items that were heard to their end, and need not be asked about again. */
  readonly heard: readonly string[];
  /** Something that is not to be interrupted is being played, so nothing was. */
  readonly isProtected: boolean;
}

/** A function the model called. */
export interface ToolCall {
  readonly itemId: string;
  readonly toolCallId: string;
  readonly name: string;
  /** JSON as the model wrote it. */
  readonly arguments: string;
}

/** What the model is told of a tool's run. */
export interface ToolResult {
  readonly output: string;
  /** False where the call is about to end, so that the model says nothing more. */
  readonly respond: boolean;
}

/** Asks for leave to open a connection. */
export interface ConnectRequest {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** By when the connection has to be ready, on the monotonic clock: the session gives up then. */
  readonly endsAtMs: number;
}

/**
 * What became of a permit. `given_up`: it was used, but what came of it says nothing of the upstream. `unused`: no
 * connection was tried, and another session may have the turn.
 */
export type ConnectResult = 'ok' | UpstreamErrorClass | 'given_up' | 'unused';

/** Leave to open one connection. Whoever holds it settles it: others wait for what it tells of the upstream. */
export interface ConnectPermit {
  /** Says what became of it. Only the first word counts. */
  settle(result: ConnectResult): void;
}

/** What a conversation needs of the gateway around it. */
export interface ConversationHost {
  event(event: SessionEvent): void;
  audio(audio: ReplyAudio): void;
  /** Whether the caller is still being played something that may be interrupted. */
  isPlaying(items: readonly OpenItem[]): Promise<boolean>;
  /** Stops playback of what is unheard, and says where it stopped. */
  interrupt(items: readonly OpenItem[], startedAtMs: number): Promise<InterruptVerdict>;
  runTool(call: ToolCall): Promise<ToolResult>;
  /** The conversation so far, as heard. */
  history(): Promise<readonly ReplayItem[]>;
  /** Resolves when another connection may be opened; rejects when `signal` aborts. */
  connectPermit(request: ConnectRequest): Promise<ConnectPermit>;
}
