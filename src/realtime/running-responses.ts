import type { Clock } from '../clock.ts';
import { RecentIds } from './recent-ids.ts';
import type { ResponseOverrides } from './response-scheduler.ts';

/** A timer that is later than this has waited for a process that stood still. */
const STANDSTILL_MS = 250;
const LOOK_AGAIN_MS = 100;

/** How long a response may say nothing before it counts as over or lost. Milliseconds. */
export interface ResponseSilences {
  /** Before its first item: the model may think. */
  readonly thinkingMs: number;
  /** In the middle of it. */
  readonly silenceMs: number;
  /** When nothing of it is missing but the word that it is done, or when it was cancelled. */
  readonly lastWordMs: number;
}

/**
 * Why a response is taken to be over without the server's word for it. `silent`: nothing came of it for too long, though
 * something was missing; `no_last_word`: nothing was missing, or it was cancelled; `not_active`: the server said so when
 * it was cancelled; `superseded`: another has begun, and the server runs one at a time.
 */
export type LossReason = 'silent' | 'no_last_word' | 'not_active' | 'superseded';

export interface LossListener {
  /** A response is taken to be over; it runs until it is ended. */
  onLost(responseId: string, why: LossReason): void;
}

interface Running {
  readonly overrides: ResponseOverrides | undefined;
  readonly openItems: Set<string>;
  itemCount: number;
  /** Whether the newest item that is done may be the last: it is no comment before something else. */
  mayBeOver: boolean;
  callsTool: boolean;
  isCancelled: boolean;
  lastEventAtMs: number;
}

/**
 * The responses that run, how far each has come, and when it is time to stop waiting for the rest: one of which nothing
 * more comes counts as over.
 */
export class RunningResponses {
  readonly #silences: ResponseSilences;
  readonly #nowMs: Clock;
  readonly #listener: LossListener;
  readonly #running = new Map<string, Running>();
  readonly #over = new RecentIds();
  #timer: NodeJS.Timeout | undefined;

  constructor(silences: ResponseSilences, nowMs: Clock, listener: LossListener) {
    this.#silences = silences;
    this.#nowMs = nowMs;
    this.#listener = listener;
  }

  get size(): number {
    return this.#running.size;
  }

  ids(): string[] {
    return [...this.#running.keys()];
  }

  /** The response that has begun last, if one runs. */
  get newest(): string | undefined {
    return this.ids().at(-1);
  }

  /** Whether a response has begun of which nothing was known: its first event says so as well as its own would. */
  isNew(responseId: string): boolean {
    return !this.#heardOf(responseId) && !this.isOver(responseId);
  }

  /** Whether it runs. */
  has(responseId: string): boolean {
    return this.#running.has(responseId);
  }

  /** Whether it was ended before. */
  isOver(responseId: string): boolean {
    return this.#over.has(responseId);
  }

  overridesOf(responseId: string): ResponseOverrides | undefined {
    return this.#running.get(responseId)?.overrides;
  }

  begin(responseId: string, overrides: ResponseOverrides | undefined): void {
    this.#running.set(responseId, {
      overrides,
      openItems: new Set(),
      itemCount: 0,
      mayBeOver: false,
      callsTool: false,
      isCancelled: false,
      lastEventAtMs: this.#nowMs(),
    });
    this.#watch();
  }

  itemStarted(responseId: string, itemId: string): void {
    const running = this.#running.get(responseId);
    if (!running) return;
    running.openItems.add(itemId);
    running.itemCount += 1;
  }

  /** @param mayBeLast whether the response may be over with this item */
  itemDone(responseId: string, itemId: string, kind: { mayBeLast: boolean; callsTool: boolean }): void {
    const running = this.#running.get(responseId);
    if (!running) return;
    if (!running.openItems.delete(itemId)) running.itemCount += 1;
    running.mayBeOver = kind.mayBeLast;
    running.callsTool ||= kind.callsTool;
    this.#watch();
  }

  /**
   * Whether nothing of a running response is missing but the word that it is done, or functions that it called take it
   * further.
   */
  isSettled(responseId: string): boolean {
    const running = this.#running.get(responseId);
    return running !== undefined && (running.callsTool || isComplete(running));
  }

  /** @returns whether it runs and was not cancelled before */
  cancel(responseId: string): boolean {
    const running = this.#running.get(responseId);
    if (!running || running.isCancelled) return false;
    running.isCancelled = true;
    running.lastEventAtMs = this.#nowMs();
    this.#watch();
    return true;
  }

  cancelled(): string[] {
    return this.ids().filter((responseId) => this.#running.get(responseId)?.isCancelled);
  }

  /** A response is taken to be over: the listener ends it. */
  lose(responseId: string, why: LossReason): void {
    this.#listener.onLost(responseId, why);
  }

  end(responseId: string): void {
    this.#over.add(responseId);
    this.#running.delete(responseId);
    this.#watch();
  }

  clear(): void {
    for (const responseId of this.#running.keys()) this.#over.add(responseId);
    this.#running.clear();
    this.#watch();
  }

  /** Something of it came. @returns whether it runs */
  #heardOf(responseId: string): boolean {
    const running = this.#running.get(responseId);
    if (!running) return false;
    running.lastEventAtMs = this.#nowMs();
    return true;
  }

  /** Sets the timer to when the first of them is due. What comes of one only moves its time on, and is looked at then. */
  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#running.size === 0) return;
    const dueAtMs = Math.min(...[...this.#running.values()].map((running) => this.#dueAtMs(running)));
    this.#timer = setTimeout(() => this.#look(dueAtMs), Math.max(1, Math.ceil(dueAtMs - this.#nowMs())));
  }

  #look(dueAtMs: number): void {
    const nowMs = this.#nowMs();
    // After a standstill timers come before what has arrived meanwhile: that is read first.
    if (nowMs - dueAtMs > STANDSTILL_MS) {
      this.#timer = setTimeout(() => this.#look(this.#nowMs()), LOOK_AGAIN_MS);
      return;
    }
    for (const [responseId, running] of [...this.#running]) {
      if (this.#dueAtMs(running) > nowMs) continue;
      this.lose(responseId, running.isCancelled || isComplete(running) ? 'no_last_word' : 'silent');
    }
    this.#watch();
  }

  #dueAtMs(running: Running): number {
    const { thinkingMs, silenceMs, lastWordMs } = this.#silences;
    const isAtEnd = running.isCancelled || isComplete(running);
    return running.lastEventAtMs + (isAtEnd ? lastWordMs : running.itemCount === 0 ? thinkingMs : silenceMs);
  }
}

function isComplete({ itemCount, openItems, mayBeOver, callsTool }: Running): boolean {
  return itemCount > 0 && openItems.size === 0 && (mayBeOver || callsTool);
}
