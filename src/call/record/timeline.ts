/** Something that happened on a call. `atMs` counts from its creation. */
export interface TimelineEvent {
  readonly atMs: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}

/** Entries kept; a call that has more keeps its first and its last. */
const MAX_EVENTS = 2_000;
const KEPT_FROM_START = 200;

/**
 * What happened on one call, in order, for whoever asks afterwards. Nothing personal is in it: no words, no numbers, no
 * keys that were pressed.
 */
export class CallTimeline {
  /** When the call's own clock began. */
  readonly startedAtMs: number;
  readonly #nowMs: () => number;
  #events: TimelineEvent[] = [];
  #omitted = 0;

  /** @param nowMs the clock that `atMs` of all calls below is on: `monotonicNowMs`, which is the same on every thread */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.startedAtMs = nowMs();
  }

  /** @param atMs when it happened; absent: now. What other threads report happened a little before. */
  add(type: string, details: Readonly<Record<string, unknown>> = {}, atMs = this.#nowMs()): void {
    if (this.#events.length >= MAX_EVENTS) {
      this.#events.splice(KEPT_FROM_START, 1);
      this.#omitted += 1;
    }
    this.#events.push({ atMs: this.#sinceStart(atMs), type, ...details });
  }

  /**
   * As `add`, for what may happen with every chunk: as long as nothing else happens, it is one entry that counts.
   * @param reason told apart: another reason is another entry
   * @returns whether it is a new entry
   */
  tally(type: string, reason: string, count = 1): boolean {
    const last = this.#events.at(-1);
    if (last?.type !== type || last.reason !== reason) {
      this.add(type, { reason, count });
      return true;
    }
    const untilMs = this.#sinceStart(this.#nowMs());
    this.#events[this.#events.length - 1] = { ...last, count: Number(last.count) + count, untilMs };
    return false;
  }

  /** In the order of their times. */
  get events(): readonly TimelineEvent[] {
    return this.#events.toSorted((a, b) => a.atMs - b.atMs);
  }

  /** Entries that were left out of the middle. */
  get omitted(): number {
    return this.#omitted;
  }

  #sinceStart(atMs: number): number {
    return Math.round((atMs - this.startedAtMs) * 10) / 10;
  }
}
