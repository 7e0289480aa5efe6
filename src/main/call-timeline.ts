/** Something that happened on a call. `atMs` counts from its creation. */
export interface TimelineEvent {
  readonly atMs: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}

/** Entries kept; a call that has more keeps its first and its last. */
const MAX_EVENTS = 2_000;
const KEPT_FROM_START = 200;

/** What happened on one call, in order, for whoever asks afterwards. */
export class CallTimeline {
  readonly #startedAtMs: number;
  readonly #nowMs: () => number;
  #events: TimelineEvent[] = [];
  #dropped = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs();
  }

  add(type: string, details: Record<string, unknown> = {}): void {
    if (this.#events.length >= MAX_EVENTS) {
      this.#events.splice(KEPT_FROM_START, 1);
      this.#dropped += 1;
    }
    this.#events.push({ atMs: Math.round((this.#nowMs() - this.#startedAtMs) * 10) / 10, type, ...details });
  }

  get events(): readonly TimelineEvent[] {
    return this.#events;
  }

  /** Entries that were left out of the middle. */
  get dropped(): number {
    return this.#dropped;
  }
}
