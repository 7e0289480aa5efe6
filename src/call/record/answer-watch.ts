import { monotonicNowMs } from '../../clock.ts';
import type { AudioEntry } from '../reply/outbox.ts';
import { type CallNotes, tenths } from './notes.ts';

/** How far the first audio of the response at hand has come. */
type Awaited = 'delta' | 'frames' | 'handover' | undefined;

/** Follows the first audio of each answer from the socket to the client, and measures how long the caller waited for it. */
export class AnswerWatch {
  readonly #notes: CallNotes;
  readonly #startedAtMs = monotonicNowMs();
  #awaited: Awaited;
  #awaitedItemId: string | undefined;
  /** When the caller's last turn ended, until its answer is handed over. */
  #turnEndedAtMs: number | undefined;
  /** The same, once a response to it has started: earlier responses are not its answer. */
  #answeredTurnEndedAtMs: number | undefined;
  #hasSpoken = false;

  constructor(notes: CallNotes) {
    this.#notes = notes;
  }

  turnEnded(atMs: number): void {
    this.#turnEndedAtMs = atMs;
  }

  /** What was taken for a turn was none. */
  turnIgnored(): void {
    this.#turnEndedAtMs = undefined;
  }

  responseStarted(): void {
    this.#awaited = 'delta';
    this.#answeredTurnEndedAtMs = this.#turnEndedAtMs;
  }

  /** A piece of a reply came off the socket. */
  received(itemId: string, receivedAtMs: number): void {
    if (this.#awaited !== 'delta') return;
    this.#awaited = 'frames';
    this.#awaitedItemId = itemId;
    this.#notes.note('first_delta', {}, receivedAtMs);
  }

  queued(itemId: string, nowMs: number): void {
    if (this.#awaited !== 'frames' || this.#awaitedItemId !== itemId) return;
    this.#awaited = 'handover';
    this.#notes.note('in_outbox', {}, nowMs);
  }

  /** Reply audio is being handed to the client. */
  handedOver(entries: readonly AudioEntry[], nowMs: number): void {
    if (this.#awaited === 'handover' && entries.some(({ itemId }) => itemId === this.#awaitedItemId)) {
      this.#awaited = undefined;
      this.#answered(nowMs);
    }
    if (this.#hasSpoken) return;
    this.#hasSpoken = true;
    this.#notes.log.info({ afterMs: Math.round(nowMs - this.#startedAtMs) }, 'first audio');
  }

  /** A stream writes one frame of a reply now. */
  played(entry: AudioEntry, nowMs: number): void {
    if (this.#awaited === 'handover' || !this.#hasSpoken) this.handedOver([entry], nowMs);
  }

  #answered(nowMs: number): void {
    const { metrics, figures } = this.#notes;
    const turnEndedAtMs = this.#answeredTurnEndedAtMs;
    if (turnEndedAtMs === undefined) {
      this.#notes.note('handed_over', {}, nowMs);
      return;
    }
    this.#answeredTurnEndedAtMs = undefined;
    this.#turnEndedAtMs = undefined;
    const turnMs = nowMs - turnEndedAtMs;
    metrics.turnLatency.observe(turnMs / 1000);
    figures.answered(turnMs);
    this.#notes.note('handed_over', { turnMs: tenths(turnMs) }, nowMs);
  }
}
