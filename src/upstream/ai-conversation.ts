import type { Clock } from '../clock.ts';
import type { ReplayItem } from './conversation.ts';
import type { Credentials } from './credentials.ts';
import type { ConversationHost, HandedReply } from './host.ts';
import type { Protocol } from './protocol.ts';
import type { ReconnectPolicy } from './reconnect-policy.ts';
import type { ConversationSettings } from './settings.ts';

/** Where to connect, in which protocol, and as whom. */
export interface UpstreamTarget extends Credentials {
  readonly protocol: Protocol;
  /** `wss://…`; query parameters of its own are kept: a model or deployment there is that of every call. */
  readonly url: string;
  /** A stable id of the caller that does not tell who it is. */
  readonly safetyIdentifier: string | undefined;
}

/** What the agent says first. */
export interface GreetingSetup {
  readonly instructions: string;
  /** False: nothing the caller says stops it. */
  readonly interruptible: boolean;
}

/** All that makes one call's conversation. */
export interface ConversationSetup {
  readonly target: UpstreamTarget;
  readonly settings: ConversationSettings;
  readonly policy: ReconnectPolicy;
  /** Absent: the agent waits to be spoken to. */
  readonly greeting?: GreetingSetup | undefined;
  /** Speech shorter than this does not interrupt; 0: any speech does. */
  readonly minInterruptionMs: number;
  /** The conversation so far, where the call goes on from another worker. */
  readonly replay?: readonly ReplayItem[] | undefined;
  /** Replies in `replay` that may still be playing. */
  readonly handedReplies?: readonly HandedReply[] | undefined;
  /** The agent was answering when the other worker was lost. */
  readonly isCutShort?: boolean | undefined;
}

/** A piece of caller audio on its way to the AI. */
export interface CallerAudio {
  /** In the encoding of the conversation's `audioType`. */
  readonly base64: string;
  readonly audioMs: number;
  /** When its chunk had been read, in milliseconds of `monotonicNowMs`. */
  readonly receivedAtMs: number;
  /** How much of it is loud, where that is measured. */
  readonly voicedMs?: number;
}

/**
 * One call's conversation with an AI, over as many connections as it takes: what each protocol implements. What it has to
 * tell it tells its {@link ConversationHost}.
 */
export interface AiConversation {
  /** Bytes that wait in the socket. */
  readonly bufferedBytes: number;
  /**
   * Connects and greets, or takes up the conversation where `replay` left it.
   * @throws {UpstreamError} when the upstream refuses or `timeoutMs` is over
   */
  open(timeoutMs: number): Promise<{ upstreamSessionId: string | undefined }>;
  /** Sends caller audio. Returns whether it went out at once; otherwise it waits for the next connection. */
  sendAudio(audio: CallerAudio): boolean;
  /** Tells the agent which keys the caller pressed. */
  sendDtmf(digits: string): void;
  /** Has the agent say something of the gateway's choosing. */
  prompt(instructions: string): void;
  /**
   * Stops the reply because more of it is queued than anybody will listen to.
   * @param keptMs how much of the item is to be heard; the rest is cut from the AI's memory, where that can be done
   */
  cancelReply(itemId: string, keptMs: number): void;
  /** Ends the conversation without another event. Idempotent. */
  close(): void;
}

/** Makes a conversation in one protocol, not yet open. The clock is the monotonic one, shared with the host. */
export type NewConversation = (setup: ConversationSetup, host: ConversationHost, nowMs: Clock) => AiConversation;
