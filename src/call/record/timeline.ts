import { isFault } from './faults.ts';

/** Something that happened on a call. `atMs` counts from its creation. */
export interface TimelineEvent {
  readonly atMs: number;
  readonly type: string;
  readonly [detail: string]: unknown;
}

/** An entry with its place: an entry that counts on keeps its number. */
export interface NumberedEvent extends TimelineEvent {
  readonly n: number;
}

/** What has come since a revision. */
export interface TimelineNews {
  readonly events: readonly NumberedEvent[];
  /** Some of it has been left out of the middle since. */
  readonly hasGap: boolean;
}

interface Entry {
  readonly n: number;
  event: TimelineEvent;
  /** The timeline's revision when it was last changed. */
  revision: number;
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
  #entries: Entry[] = [];
  #count = 0;
  #omitted = 0;
  /** The last revision of an entry that was left out. */
  #omittedRevision = 0;
  #revision = 0;
  #faultCount = 0;
  #lastFault: string | undefined;

  /** @param nowMs the clock that `atMs` of all calls below is on: `monotonicNowMs`, which is the same on every thread */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.startedAtMs = nowMs();
  }

  /** @param atMs when it happened; absent: now. What other threads report happened a little before. */
  add(type: string, details: Readonly<Record<string, unknown>> = {}, atMs = this.#nowMs()): void {
    if (this.#entries.length >= MAX_EVENTS) {
      const [entry] = this.#entries.splice(KEPT_FROM_START, 1);
      this.#omitted += 1;
      this.#omittedRevision = Math.max(this.#omittedRevision, entry!.revision);
    }
    const event = { atMs: this.#sinceStart(atMs), type, ...details };
    this.#entries.push({ n: this.#count++, event, revision: ++this.#revision });
    if (!isFault(event)) return;
    this.#faultCount += 1;
    this.#lastFault = type;
  }

  /**
   * As `add`, for what may happen with every chunk: as long as nothing else happens, it is one entry that counts.
   * @param reason told apart: another reason is another entry
   * @returns whether it is a new entry
   */
  tally(type: string, reason: string, count = 1): boolean {
    const last = this.#entries.at(-1);
    if (last?.event.type !== type || last.event.reason !== reason) {
      this.add(type, { reason, count });
      return true;
    }
    const untilMs = this.#sinceStart(this.#nowMs());
    last.event = { ...last.event, count: Number(last.event.count) + count, untilMs };
    last.revision = ++this.#revision;
    return false;
  }

  /** In the order of their times. */
  get events(): readonly TimelineEvent[] {
    return this.#entries.map(({ event }) => event).sort((a, b) => a.atMs - b.atMs);
  }

  /** Rises with every change. */
  get revision(): number {
    return this.#revision;
  }

  /** Entries that are new or were changed after `revision`, in the order of their times. */
  since(revision: number): TimelineNews {
    const events: NumberedEvent[] = [];
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const { n, event, revision: changed } = this.#entries[i]!;
      // Only the last entry counts on: what is before an old one is older.
      if (changed <= revision) break;
      events.push({ n, ...event });
    }
    return { events: events.sort((a, b) => a.atMs - b.atMs || a.n - b.n), hasGap: this.#omittedRevision > revision };
  }

  /** The last entry of one of these types, in the order in which they were told. */
  last(types: ReadonlySet<string>): TimelineEvent | undefined {
    return this.#entries.findLast(({ event }) => types.has(event.type))?.event;
  }

  /** Entries that told of something wrong. */
  get faultCount(): number {
    return this.#faultCount;
  }

  get lastFault(): string | undefined {
    return this.#lastFault;
  }

  /** Entries that were left out of the middle. */
  get omitted(): number {
    return this.#omitted;
  }

  #sinceStart(atMs: number): number {
    return Math.round((atMs - this.startedAtMs) * 10) / 10;
  }
}
