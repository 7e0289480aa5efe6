import type { StoreEntry, SummaryMark } from '../../store/records.ts';

/** What of an entry is in memory, in bytes: its texts, two bytes a character, and a little for the rest. */
function sizeOf({ call, summary }: StoreEntry): number {
  return 1_000 + 2 * ((call?.details.length ?? 0) + (call?.words.length ?? 0) + (summary?.body.length ?? 0));
}

export interface BacklogLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Entries the disk has not taken yet, in order. Bounded: while it takes none, what is dearest is kept longest. */
export class Backlog {
  readonly #entries = new Map<string, StoreEntry>();
  readonly #limits: BacklogLimits;
  #byteCount = 0;

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#entries.size;
  }

  get(id: string): StoreEntry | undefined {
    return this.#entries.get(id);
  }

  /** The first of them, as many as may be written at once. */
  batch(maxEntries: number, maxBytes: number): StoreEntry[] {
    const batch: StoreEntry[] = [];
    let byteCount = 0;
    for (const entry of this.#entries.values()) {
      byteCount += sizeOf(entry);
      if (batch.length >= maxEntries || (batch.length > 0 && byteCount > maxBytes)) break;
      batch.push(entry);
    }
    return batch;
  }

  /** Adds an entry; returns those that had to go for it: history before what nobody has yet, the oldest first. */
  add(entry: StoreEntry): StoreEntry[] {
    this.#put(entry);
    const evicted: StoreEntry[] = [];
    while (this.#isOver) {
      const found = [...this.#entries.values()].find(({ summary }) => !summary) ?? this.#entries.values().next().value;
      if (!found) break;
      this.delete(found.id);
      evicted.push(found);
    }
    return evicted;
  }

  /** Notes what became of a summary that is still here; what is left of its entry is its history. */
  settle(id: string, mark: SummaryMark): void {
    const entry = this.#entries.get(id);
    if (!entry || (mark.kind === 'refused' && !mark.isFinal)) return;
    this.delete(id);
    if (entry.call) this.#put({ id, call: entry.call, summaryState: mark.kind });
  }

  delete(id: string): boolean {
    const entry = this.#entries.get(id);
    if (!entry) return false;
    this.#byteCount -= sizeOf(entry);
    return this.#entries.delete(id);
  }

  /** Every entry that is left, which is none afterwards. */
  clear(): StoreEntry[] {
    const left = [...this.#entries.values()];
    this.#entries.clear();
    this.#byteCount = 0;
    return left;
  }

  #put(entry: StoreEntry): void {
    this.#entries.set(entry.id, entry);
    this.#byteCount += sizeOf(entry);
  }

  get #isOver(): boolean {
    return this.#entries.size > this.#limits.maxEntries || this.#byteCount > this.#limits.maxBytes;
  }
}
