import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { Clock } from '../clock.ts';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { ConversationHost } from '../upstream/host.ts';
import type { Usage } from '../upstream/usage.ts';
import { AwaitedTranscripts } from './awaited-transcripts.ts';
import type { EventSender } from './event-sender.ts';
import { KeyPresses } from './key-presses.ts';
import { RecentIds } from './recent-ids.ts';
import type { SessionConfig } from './session-config.ts';
import { SpeechGate } from './speech-gate.ts';
import { TurnIds } from './turn-ids.ts';

const MAX_ITEM_ID = 32;
/** A turn that is over is committed in the same moment; one that is not within this time is taken to be. */
export const COMMIT_WAIT_MS = 1_500;

export interface CallerTurnsOptions {
  readonly link: EventSender;
  readonly host: ConversationHost;
  readonly config: Pick<SessionConfig, 'isTranscribed'>;
  /** Speech shorter than this is ignored while it would interrupt; 0: all speech is a turn. */
  readonly minInterruptionMs: number;
  readonly nowMs: Clock;
}

export interface CallerListener {
  /** Whether there is something that speech would interrupt now. */
  canBeInterrupted(): Promise<boolean>;
  /** What is being said is to stop: the caller speaks, and has for long enough. */
  onInterruption(startedAtMs: number): void;
  /** The caller has begun to speak. */
  onSpeech(): void;
  /** The caller has stopped speaking. */
  onSpeechOver(): void;
  /** A turn is complete. `isAssumed`: the server has not said so, and may have begun to answer it. */
  onTurn(isAssumed: boolean): void;
  /** What was taken for a turn was noise. */
  onNoise(): void;
  /** The caller pressed keys, which the agent was told. */
  onKeys(): void;
}

/** What the caller says and presses: reports it, and tells turns from noises. */
export class CallerTurns {
  readonly #options: CallerTurnsOptions;
  readonly #listener: CallerListener;
  readonly #gate: SpeechGate;
  readonly #keys: KeyPresses;
  readonly #transcripts = new AwaitedTranscripts();
  /** Items made of noises, which the server is asked to forget. */
  readonly #noises = new Set<string>();
  /** Items that no connection took yet, by id. */
  readonly #unsent = new Map<string, RealtimeClientEvent>();
  readonly #turns = new TurnIds();
  /** Turns whose words were told. */
  readonly #told = new RecentIds();
  #commitTimer: NodeJS.Timeout | undefined;
  #isSpeaking = false;
  #keyItems = 0;
  #closed = false;

  constructor(options: CallerTurnsOptions, listener: CallerListener) {
    this.#options = options;
    this.#listener = listener;
    this.#gate = new SpeechGate(options.minInterruptionMs, listener);
    this.#keys = new KeyPresses((digits) => this.#onKeys(digits));
  }

  get isSpeaking(): boolean {
    return this.#isSpeaking;
  }

  /** Whether short noises are ignored, so that the server's own interruption is not wanted. */
  get isGuarded(): boolean {
    return this.#gate.isOn;
  }

  /** Whether speech goes on of which it is not known yet whether it interrupts. */
  get isDeciding(): boolean {
    return this.#gate.isDeciding;
  }

  /** Whether the words of a turn may still come soon. */
  get isAwaitingWords(): boolean {
    return this.#transcripts.isWaiting(this.#options.nowMs());
  }

  /** Caller audio is sent, `voicedMs` of it loud. */
  heard(audioMs: number, voicedMs: number): void {
    this.#gate.heard(audioMs, voicedMs);
  }

  /** Keys that the agent is told of: `#` at once, others when no more follow. */
  press(digits: string): void {
    this.#keys.press(digits);
  }

  speechStarted(itemId: string): void {
    if (this.#turns.reach(itemId, 'started').length === 0) return;
    this.#start(itemId);
    this.#listener.onSpeech();
  }

  speechStopped(itemId: string): void {
    const isKnown = this.#turns.has(itemId, 'started');
    if (this.#turns.reach(itemId, 'stopped').length === 0) return;
    if (!isKnown) {
      this.#onAssumed();
      this.#start(itemId);
    }
    this.#stop(itemId);
    clearTimeout(this.#commitTimer);
    this.#commitTimer = setTimeout(() => this.#assumeCommitted(itemId), COMMIT_WAIT_MS);
    this.#listener.onSpeechOver();
  }

  committed(itemId: string, previousItemId: string | null): void {
    const wasSpeaking = this.#isSpeaking;
    const wasOpen = this.#turns.has(itemId, 'started') && !this.#turns.has(itemId, 'stopped');
    if (this.#turns.reach(itemId, 'committed').length === 0) return;
    clearTimeout(this.#commitTimer);
    if (wasOpen) {
      this.#onAssumed();
      this.#stop(itemId);
    }
    this.#commit(itemId, previousItemId, false);
    if (wasSpeaking && !this.#isSpeaking) this.#listener.onSpeechOver();
  }

  /**
   * @param text null: the words could not be made out
   * @param usage what this is billed with, where the server says so
   */
  transcribed(itemId: string, text: string | null, usage?: Usage): void {
    if (!this.#told.add(itemId)) return;
    // Noise that nobody hears of was transcribed too.
    if (usage && !this.#closed) this.#options.host.event({ type: 'transcription_used', usage });
    this.#transcripts.settle(itemId);
    const report = () => {
      if (this.#noises.has(itemId) || this.#closed) return;
      this.#options.host.event({ type: 'user_text', itemId, text });
    };
    if (this.#gate.isOn) void this.#gate.verdictOf(itemId).then(report);
    else report();
  }

  /** The connection is gone: what it heard the beginning of is not followed, what it has not told will not be. */
  connectionLeft(): void {
    this.#isSpeaking = false;
    clearTimeout(this.#commitTimer);
    this.#gate.lost();
    for (const itemId of this.#transcripts.takeAll()) {
      this.#options.host.event({ type: 'user_text', itemId, text: null });
    }
  }

  /** Another connection is there, which was told `replayed`. */
  restored(replayed: readonly ReplayItem[]): void {
    for (const [itemId, event] of this.#unsent) {
      if (!replayed.some((item) => item.itemId === itemId)) this.#options.link.send(event);
    }
    this.#unsent.clear();
  }

  /** Reports nothing any more. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#commitTimer);
    this.#keys.close();
  }

  #assumeCommitted(itemId: string): void {
    if (this.#turns.reach(itemId, 'committed').length === 0 || this.#closed) return;
    this.#onAssumed();
    this.#commit(itemId, null, true);
  }

  /** The server did not say when a turn began, or that it is complete. */
  #onAssumed(): void {
    this.#options.host.event({ type: 'repaired', kind: 'turn_assumed' });
  }

  #start(itemId: string): void {
    const { host, nowMs } = this.#options;
    const atMs = nowMs();
    this.#isSpeaking = true;
    host.event({ type: 'speech_started', itemId, atMs });
    if (this.#gate.isOn) this.#gate.started(itemId, atMs, this.#listener.canBeInterrupted());
    else this.#listener.onInterruption(atMs);
  }

  #stop(itemId: string): void {
    const { host, nowMs } = this.#options;
    this.#isSpeaking = false;
    host.event({ type: 'speech_stopped', itemId, atMs: nowMs() });
    this.#gate.stopped(itemId);
  }

  #commit(itemId: string, previousItemId: string | null, isAssumed: boolean): void {
    if (!this.#gate.isOn) {
      this.#onTurn(itemId, previousItemId, isAssumed);
      return;
    }
    void this.#gate.verdictOf(itemId).then((verdict) => {
      if (this.#closed) return;
      if (verdict === 'turn') this.#onTurn(itemId, previousItemId, isAssumed);
      else this.#onNoise(itemId);
    });
  }

  #onTurn(itemId: string, previousItemId: string | null, isAssumed: boolean): void {
    const { host, config, nowMs } = this.#options;
    host.event({ type: 'item_added', itemId, previousItemId, role: 'user' });
    if (config.isTranscribed) this.#transcripts.add(itemId, nowMs());
    this.#listener.onTurn(isAssumed);
  }

  #onNoise(itemId: string): void {
    const { link, host } = this.#options;
    this.#noises.add(itemId);
    link.send({ type: 'conversation.item.delete', item_id: itemId });
    host.event({ type: 'item_removed', itemId });
    this.#listener.onNoise();
  }

  #onKeys(digits: string): void {
    const { link, host } = this.#options;
    const itemId = `keys_${++this.#keyItems}_${Date.now().toString(36)}`.slice(0, MAX_ITEM_ID);
    const text = `The caller pressed these keys on the telephone: ${digits}`;
    const event: RealtimeClientEvent = {
      type: 'conversation.item.create',
      item: { type: 'message', id: itemId, role: 'user', content: [{ type: 'input_text', text }] },
    };
    if (!link.send(event)) this.#unsent.set(itemId, event);
    host.event({ type: 'item_added', itemId, previousItemId: null, role: 'user' });
    host.event({ type: 'user_text', itemId, text: `(pressed ${digits})` });
    host.event({ type: 'dtmf_sent', digits });
    this.#listener.onKeys();
  }
}
