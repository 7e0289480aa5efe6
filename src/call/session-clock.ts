import type { AgentProfile } from '../backend/profiles/agent-profile.ts';
import type { EndReason } from './end-reason.ts';
import { sayExactly } from './settings.ts';

/** A create whose client is gone may be asked for again: a client that gave up waiting tries once more at once. */
export const ABANDONED_KEPT_MS = 3_000;

/** Durations that end sessions, in milliseconds. */
export interface CallLimits {
  readonly idleTimeoutMs: number;
  readonly firstAudioTimeoutMs: number;
  /** How long an ending session's outbox is kept. */
  readonly outboxKeptMs: number;
  /** How long an ended session's summary is kept. */
  readonly summaryKeptMs: number;
}

/** What the clock asks for. */
export type Due =
  | { readonly type: 'end'; readonly reason: EndReason; readonly why: string }
  | { readonly type: 'prompt'; readonly instructions: string; readonly count: number };

/** Prompts in a row that the agent may leave unspoken before the call cannot go on. */
const MAX_UNSPOKEN_PROMPTS = 3;

/** Knows when one call has been idle, silent or running for too long. Times are on the `monotonicNowMs` clock. */
export class SessionClock {
  readonly #limits: CallLimits;
  readonly #profile: AgentProfile;
  readonly #createdAtMs: number;
  #lastRequestAtMs: number;
  #hasRequest = false;
  /** A client knows of the call. */
  #isClaimed = false;
  /** When the first create was to be answered whose client had gone. */
  #abandonedAtMs = Number.POSITIVE_INFINITY;
  #hasAudio = false;
  #endedAtMs = 0;
  #isSpeaking = false;
  #isDeaf = false;
  /** When the caller and the agent were last heard of. */
  #lastSpeechAtMs: number;
  /** Prompts that the caller was played since it was last heard of. */
  #prompts = 0;
  /** Prompts that were asked for since, and not spoken. */
  #unspoken = 0;

  constructor(limits: CallLimits, profile: AgentProfile, nowMs: number, createdAtMs = nowMs) {
    this.#limits = limits;
    this.#profile = profile;
    this.#createdAtMs = createdAtMs;
    this.#lastRequestAtMs = nowMs;
    this.#lastSpeechAtMs = nowMs;
  }

  /** Milliseconds since the client's last request. */
  idleMs(nowMs: number): number {
    return nowMs - this.#lastRequestAtMs;
  }

  onRequest(nowMs: number): void {
    this.#lastRequestAtMs = Math.max(this.#lastRequestAtMs, nowMs);
    this.#hasRequest = true;
  }

  /** A client is told that the call exists. */
  onClaimed(): void {
    this.#isClaimed = true;
  }

  /** A client that was to be told has gone. */
  onAbandoned(nowMs: number): void {
    this.#abandonedAtMs = Math.min(this.#abandonedAtMs, nowMs);
  }

  /** Whether nobody knows of the call, nor will. */
  isAbandoned(nowMs: number): boolean {
    return !this.#isClaimed && !this.#hasRequest && nowMs - this.#abandonedAtMs >= ABANDONED_KEPT_MS;
  }

  /** Whether nobody has come for what the agent says, so that none is waited for at the end. */
  isUnattended(nowMs: number): boolean {
    return !this.#hasRequest || this.idleMs(nowMs) > this.#limits.outboxKeptMs;
  }

  get hasCallerAudio(): boolean {
    return this.#hasAudio;
  }

  /** Whether the caller speaks at the moment, as far as the upstream has told. */
  get isSpeaking(): boolean {
    return this.#isSpeaking;
  }

  onCallerAudio(): void {
    this.#hasAudio = true;
  }

  onSpeech(isSpeaking: boolean, nowMs: number): void {
    this.#isSpeaking = isSpeaking;
    this.onCallerActive(nowMs);
  }

  /** The agent did something: the caller is not expected to speak at once. */
  onAgentActive(nowMs: number): void {
    this.#lastSpeechAtMs = Math.max(this.#lastSpeechAtMs, nowMs);
  }

  /** The caller was handed speech of the agent: a prompt that was asked for has been spoken. */
  onAgentSpoke(): void {
    if (this.#unspoken === 0) return;
    this.#unspoken = 0;
    this.#prompts += 1;
  }

  /** Nobody hears the caller any more, or somebody does again. */
  onUpstream(isThere: boolean, nowMs: number): void {
    this.#isDeaf = !isThere;
    this.#isSpeaking = false;
    this.onAgentActive(nowMs);
  }

  /** The caller did something that counts as an answer. */
  onCallerActive(nowMs: number): void {
    this.#lastSpeechAtMs = nowMs;
    this.#prompts = 0;
    this.#unspoken = 0;
  }

  onEnded(nowMs: number): void {
    this.#endedAtMs = nowMs;
  }

  isOutboxExpired(nowMs: number): boolean {
    return nowMs - this.#endedAtMs > this.#limits.outboxKeptMs;
  }

  isSummaryExpired(nowMs: number): boolean {
    return nowMs - this.#endedAtMs > this.#limits.summaryKeptMs;
  }

  /** What is due now on an active call. `isBusy`: the agent is being heard, or does what it was asked to. */
  due(nowMs: number, isBusy: boolean): Due | undefined {
    const { idleTimeoutMs, firstAudioTimeoutMs } = this.#limits;
    const { maxCallSeconds, noInput } = this.#profile;
    if (this.idleMs(nowMs) > idleTimeoutMs) {
      return { type: 'end', reason: 'idle', why: `the client sent no request for ${idleTimeoutMs} ms` };
    }
    if (this.isAbandoned(nowMs)) {
      return { type: 'end', reason: 'idle', why: 'its client had gone before create was answered' };
    }
    if (!this.#hasAudio && nowMs - this.#createdAtMs > firstAudioTimeoutMs) {
      return { type: 'end', reason: 'idle', why: `the client sent no audio within ${firstAudioTimeoutMs} ms` };
    }
    if (maxCallSeconds !== undefined && nowMs - this.#createdAtMs > maxCallSeconds * 1000) {
      return { type: 'end', reason: 'max_duration', why: `the call reached its ${maxCallSeconds} s` };
    }
    if (!noInput) return undefined;
    if (isBusy || this.#isSpeaking || this.#isDeaf) {
      this.#lastSpeechAtMs = nowMs;
      return undefined;
    }
    if (nowMs - this.#lastSpeechAtMs < noInput.afterSeconds * 1000) return undefined;
    if (this.#prompts >= (noInput.hangUpAfter ?? Number.POSITIVE_INFINITY)) {
      return { type: 'end', reason: 'agent_hangup', why: `the caller stayed silent after ${this.#prompts} prompts` };
    }
    // Nobody is hung up on without a word.
    if (this.#unspoken >= MAX_UNSPOKEN_PROMPTS) {
      return { type: 'end', reason: 'upstream_failed', why: `the AI left ${this.#unspoken} prompts unspoken` };
    }
    this.#unspoken += 1;
    this.#lastSpeechAtMs = nowMs;
    return { type: 'prompt', instructions: sayExactly(noInput.say), count: this.#prompts + 1 };
  }
}
