import type { AudioFormat } from '../../audio/codec.ts';

/** A call that wants a session. */
export interface NewCall {
  readonly callId: string;
  readonly format: AudioFormat;
  readonly tenantId: string | undefined;
  readonly storeId: string | undefined;
  readonly aiAgentRef: string | undefined;
  readonly did: string | undefined;
  readonly callerNumber: string | undefined;
  /** The call's own key; undefined: that of the leg, where it has one. */
  readonly apiKey: string | undefined;
  /** The call's own gateways; none: those of the leg. */
  readonly gatewayUrls: readonly string[];
  /** How much of the caller's audio is passed on at once: a multiple of 20 ms. */
  readonly tickMs: number;
}

/** How a session ended, once all that it had to say has been said. */
export type SessionEnd =
  | { readonly kind: 'transfer'; readonly extension: string }
  | { readonly kind: 'hangup'; readonly why: string }
  /** The AI or the gateway is gone, and the caller is still there. */
  | { readonly kind: 'lost'; readonly why: string };

/** Told what the gateway does. */
export interface GatewayCallListener {
  /** The agent's audio in the call's format, in real time and silence included, in any cut. */
  onAudio(audio: Uint8Array): void;
  /** Nothing more comes: what was to be said has been handed over. Called once, and never after `end`. */
  onEnd(end: SessionEnd): void;
}

/** A call's session, as its leg sees it: on hold until it is resumed for the first time. Whoever opens one ends it. */
export interface GatewayCall {
  /** How far the gateway is ahead of what is heard, in milliseconds. */
  readonly leadMs: number;
  /** What the caller says, in the call's format, without holes. */
  send(audio: Uint8Array): void;
  /** Keys the caller pressed. */
  press(digits: string): void;
  /** The caller hears nothing and says nothing until `resume`; what the agent has to say waits. */
  hold(): void;
  resume(): void;
  /** The call is over. Resolves when the gateway has heard it, or does not answer. Idempotent. */
  end(): Promise<void>;
}

/** Whoever answers calls: in this process, or over HTTP. */
export interface LegGateway {
  /**
   * Opens a session.
   * @param signal aborted when the caller has gone: nobody waits any more
   * @throws {LegError} `no_session`
   */
  open(call: NewCall, listener: GatewayCallListener, signal: AbortSignal): Promise<GatewayCall>;
  /** Why no call can be taken at the moment, as far as is known. */
  readonly refusal: string | undefined;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What of an answer says how the call goes on. */
export interface VerdictAnswer {
  readonly actions?: readonly { readonly type: string; readonly extension?: string }[];
  readonly hasMore: boolean;
  readonly endReason?: string;
  readonly error?: string;
}

/** How a call goes on, as an answer tells it; undefined: it does not. A caller whose AI has gone away is still there. */
export function endIn({ actions = [], hasMore, endReason, error }: VerdictAnswer): SessionEnd | undefined {
  for (const { type, extension } of actions) {
    if (type === 'transfer') return { kind: 'transfer', extension: String(extension) };
    if (type === 'hangup') return { kind: 'hangup', why: 'the agent ended the call' };
  }
  if (hasMore) return undefined;
  const reason = endReason ?? 'completed';
  if (reason !== 'upstream_failed' && reason !== 'shutdown') return { kind: 'hangup', why: reason };
  return { kind: 'lost', why: `the session ended: ${error === undefined ? reason : `${reason}: ${error}`}` };
}
