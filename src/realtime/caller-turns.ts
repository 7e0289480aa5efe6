import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { RealtimeHost } from '../upstream/host.ts';
import { AwaitedTranscripts } from './awaited-transcripts.ts';
import { KeyPresses } from './key-presses.ts';
import { SpeechGate } from './speech-gate.ts';

const MAX_ITEM_ID = 32;

export interface CallerTurnsOptions {
  readonly host: RealtimeHost;
  readonly send: (event: RealtimeClientEvent) => boolean;
  readonly nowMs: () => number;
  /** Speech shorter than this is ignored while it would interrupt; 0: all speech is a turn. */
  readonly minInterruptionMs: number;
  /** Whether the server tells what was said. */
  readonly isTranscribed: () => boolean;
  /** Whether there is something that speech would interrupt now. */
  readonly canBeInterrupted: () => Promise<boolean>;
  /** The caller has begun to speak, and what is being said is to stop. */
  readonly onInterruption: (startedAtMs: number) => void;
  /** A turn is complete. */
  readonly onTurn: () => void;
  /** What was taken for a turn was noise. */
  readonly onNoise: () => void;
  /** The caller pressed keys, which the agent was told. */
  readonly onKeys: () => void;
}

/** What the caller says and presses: reports it, and tells turns from noises. */
export class CallerTurns {
  readonly #options: CallerTurnsOptions;
  readonly #gate: SpeechGate;
  readonly #keys: KeyPresses;
  readonly #transcripts = new AwaitedTranscripts();
  /** Items made of noises, which the server is asked to forget. */
  readonly #noises = new Set<string>();
  /** Items that no connection took yet, by id. */
  readonly #unsent = new Map<string, RealtimeClientEvent>();
  #isSpeaking = false;
  #keyItems = 0;
  #closed = false;

  constructor(options: CallerTurnsOptions) {
    this.#options = options;
    this.#gate = new SpeechGate(options.minInterruptionMs, options.onInterruption);
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
    const { host, nowMs, canBeInterrupted, onInterruption } = this.#options;
    const atMs = nowMs();
    this.#isSpeaking = true;
    host.event({ type: 'speech_started', itemId, atMs });
    if (this.#gate.isOn) this.#gate.started(itemId, atMs, canBeInterrupted());
    else onInterruption(atMs);
  }

  speechStopped(itemId: string): void {
    const { host, nowMs } = this.#options;
    this.#isSpeaking = false;
    host.event({ type: 'speech_stopped', itemId, atMs: nowMs() });
    this.#gate.stopped(itemId);
  }

  committed(itemId: string, previousItemId: string | null): void {
    if (!this.#gate.isOn) {
      this.#onTurn(itemId, previousItemId);
      return;
    }
    void this.#gate.verdictOf(itemId).then((verdict) => {
      if (this.#closed) return;
      if (verdict === 'turn') this.#onTurn(itemId, previousItemId);
      else this.#onNoise(itemId);
    });
  }

  /** @param text null: the words could not be made out */
  transcribed(itemId: string, text: string | null): void {
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
    this.#gate.lost();
    for (const itemId of this.#transcripts.takeAll()) {
      this.#options.host.event({ type: 'user_text', itemId, text: null });
    }
  }

  /** Another connection is there, which was told `replayed`. */
  restored(replayed: readonly ReplayItem[]): void {
    for (const [itemId, event] of this.#unsent) {
      if (!replayed.some((item) => item.itemId === itemId)) this.#options.send(event);
    }
    this.#unsent.clear();
  }

  /** Reports nothing any more. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#keys.close();
  }

  #onTurn(itemId: string, previousItemId: string | null): void {
    const { host, isTranscribed, nowMs, onTurn } = this.#options;
    host.event({ type: 'item_added', itemId, previousItemId, role: 'user' });
    if (isTranscribed()) this.#transcripts.add(itemId, nowMs());
    onTurn();
  }

  #onNoise(itemId: string): void {
    const { host, send, onNoise } = this.#options;
    this.#noises.add(itemId);
    send({ type: 'conversation.item.delete', item_id: itemId });
    host.event({ type: 'item_removed', itemId });
    onNoise();
  }

  #onKeys(digits: string): void {
    const { host, send, onKeys } = this.#options;
    const itemId = `keys_${++this.#keyItems}_${Date.now().toString(36)}`.slice(0, MAX_ITEM_ID);
    const text = `The caller pressed these keys on the telephone: ${digits}`;
    const event: RealtimeClientEvent = {
      type: 'conversation.item.create',
      item: { type: 'message', id: itemId, role: 'user', content: [{ type: 'input_text', text }] },
    };
    if (!send(event)) this.#unsent.set(itemId, event);
    host.event({ type: 'item_added', itemId, previousItemId: null, role: 'user' });
    host.event({ type: 'user_text', itemId, text: `(pressed ${digits})` });
    host.event({ type: 'dtmf_sent', digits });
    onKeys();
  }
}
