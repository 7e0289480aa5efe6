/** How many later chunks wait for a missing one before it is given up. */
export const REORDER_WINDOW_CHUNKS = 16;
/** How long an early chunk waits for the missing one. */
export const REORDER_WAIT_MS = 300;
/** Numbers given up that are remembered, to tell a late chunk from one sent twice. */
const REMEMBERED_HOLES = 64;

/** What became of an offered chunk. */
export type Placement =
  /** Its turn: it and `released`, in order, are to be processed now. */
  | { readonly kind: 'next' }
  /** Had this number before. */
  | { readonly kind: 'repeat' }
  /** Early: kept until the ones before it came or were given up. */
  | { readonly kind: 'held' };

/**
 * Puts the numbered chunks of one call in order. A repeat is recognised, an early chunk waits until the missing one
 * comes, `REORDER_WINDOW_CHUNKS` later ones have come, or its owner's timer says that `REORDER_WAIT_MS` are over; then
 * the hole is skipped.
 */
export class ChunkSequencer<Chunk> {
  #next = 0;
  #held = new Map<number, Chunk>();
  #givenUp = new Set<number>();
  #release: (chunk: Chunk) => void;
  #onSkipped: (count: number) => void;

  /**
   * @param release is given each chunk once, in order
   * @param onSkipped is told how many numbers were given up
   */
  constructor(release: (chunk: Chunk) => void, onSkipped: (count: number) => void) {
    this.#release = release;
    this.#onSkipped = onSkipped;
  }

  /** The lowest number not yet seen: what the client is to send next. */
  get next(): number {
    return this.#next;
  }

  /** Whether early chunks wait for a missing one. */
  get isWaiting(): boolean {
    return this.#held.size > 0;
  }

  /** Whether `offer(seq, …)` would be a repeat. */
  isRepeat(seq: number): boolean {
    return seq < this.#next || this.#held.has(seq);
  }

  /** Whether a repeat is in truth a chunk that came after its place was given up. */
  isLate(seq: number): boolean {
    return this.#givenUp.has(seq);
  }

  offer(seq: number, chunk: Chunk): Placement {
    if (this.isRepeat(seq)) return { kind: 'repeat' };
    if (seq === this.#next) {
      this.#next += 1;
      this.#release(chunk);
      this.#drain();
      return { kind: 'next' };
    }
    this.#held.set(seq, chunk);
    while (this.#held.size > REORDER_WINDOW_CHUNKS || seq - this.#next > REORDER_WINDOW_CHUNKS) {
      if (this.#held.size === 0) break;
      this.skipHole();
    }
    return { kind: this.#held.has(seq) ? 'held' : 'next' };
  }

  /** Gives up the missing numbers in front of the earliest chunk that waits, and releases what follows. */
  skipHole(): void {
    if (this.#held.size === 0) return;
    const earliest = Math.min(...this.#held.keys());
    this.#onSkipped(earliest - this.#next);
    for (let seq = Math.max(this.#next, earliest - REMEMBERED_HOLES); seq < earliest; seq++) this.#givenUp.add(seq);
    for (const seq of this.#givenUp) {
      if (this.#givenUp.size <= REMEMBERED_HOLES) break;
      this.#givenUp.delete(seq);
    }
    this.#next = earliest;
    this.#drain();
  }

  #drain(): void {
    for (let chunk = this.#held.get(this.#next); chunk !== undefined; chunk = this.#held.get(this.#next)) {
      this.#held.delete(this.#next);
      this.#next += 1;
      this.#release(chunk);
    }
  }
}
