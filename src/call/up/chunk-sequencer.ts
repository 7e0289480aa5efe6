/** How many early chunks wait for a missing one before it is given up. */
export const REORDER_WINDOW_CHUNKS = 16;
/** How long an early chunk waits for the missing one. */
export const REORDER_WAIT_MS = 300;
/**
 * How far a number may be ahead of the next one. No loss is as large: with a chunk every 20 ms it takes 33 minutes, and a
 * session without a request has long ended by then.
 */
export const MAX_JUMP_CHUNKS = 100_000;
/** Numbers given up that are remembered, to tell a late chunk from one sent twice. */
const REMEMBERED_HOLES = 64;

/** What became of an offered chunk. */
export type Placement =
  /** It was its turn, or it had the window run over: it has been released. */
  | 'released'
  /** A chunk of this number was there before: nothing happens with this one. */
  | 'repeat'
  /** Early: kept until the ones before it came or were given up. */
  | 'held';

interface Held<Chunk> {
  readonly chunk: Chunk;
  readonly heldAtMs: number;
}

/**
 * Puts the numbered chunks of one call in order. A repeat is recognised; an early chunk waits until the missing ones
 * come, until `REORDER_WINDOW_CHUNKS` others wait as well, or until it has waited for `REORDER_WAIT_MS`; then what is
 * missing is given up. Its owner keeps the time.
 */
export class ChunkSequencer<Chunk> {
  #next = 0;
  #isResumed = false;
  /** In the order in which they came: the first has waited longest. */
  readonly #held = new Map<number, Held<Chunk>>();
  readonly #givenUp = new Set<number>();
  readonly #release: (chunk: Chunk) => void;
  readonly #onSkipped: (count: number) => void;
  readonly #waitMs: number;

  /**
   * @param release is given each chunk once, in order
   * @param onSkipped is told how many numbers were given up
   */
  constructor(release: (chunk: Chunk) => void, onSkipped: (count: number) => void, waitMs = REORDER_WAIT_MS) {
    this.#release = release;
    this.#onSkipped = onSkipped;
    this.#waitMs = waitMs;
  }

  /** The lowest number not yet seen: what the client is to send next. */
  get next(): number {
    return this.#next;
  }

  /** Takes up another one's numbers, of which it may have seen more than up to `next`: the first gap is none. */
  goOnFrom(next: number): void {
    this.#next = next;
    this.#isResumed = true;
  }

  /** When `expire` is due, on the owner's clock; undefined while nothing waits. */
  get expiresAtMs(): number | undefined {
    const [oldest] = this.#held.values();
    return oldest && oldest.heldAtMs + this.#waitMs;
  }

  /** Whether `offer(seq, …)` would be a repeat. */
  isRepeat(seq: number): boolean {
    return seq < this.#next || this.#held.has(seq);
  }

  /** Whether a number is too far ahead to be one of this call's. */
  isOutOfReach(seq: number): boolean {
    return seq - this.#next > MAX_JUMP_CHUNKS;
  }

  /** Whether a repeat is in truth a chunk that came after its place was given up. */
  isLate(seq: number): boolean {
    return this.#givenUp.has(seq);
  }

  offer(seq: number, chunk: Chunk, nowMs: number): Placement {
    if (this.isRepeat(seq)) return 'repeat';
    if (seq === this.#next) {
      this.#next += 1;
      this.#isResumed = false;
      this.#release(chunk);
      this.#drain();
      return 'released';
    }
    this.#held.set(seq, { chunk, heldAtMs: nowMs });
    if (this.#held.size > REORDER_WINDOW_CHUNKS) this.#skipHole();
    return this.#held.has(seq) ? 'held' : 'released';
  }

  /** Releases what has waited long enough, and everything in front of it. */
  expire(nowMs: number): void {
    for (const [seq, { heldAtMs }] of this.#held) {
      if (nowMs < heldAtMs + this.#waitMs) return;
      while (this.#held.has(seq)) this.#skipHole();
    }
  }

  /** Releases everything that waits. */
  flush(): void {
    while (this.#held.size > 0) this.#skipHole();
  }

  /** Gives up the numbers in front of the lowest chunk that waits, and releases what follows without a gap. */
  #skipHole(): void {
    const lowest = Math.min(...this.#held.keys());
    if (!this.#isResumed) this.#onSkipped(lowest - this.#next);
    this.#isResumed = false;
    for (let seq = Math.max(this.#next, lowest - REMEMBERED_HOLES); seq < lowest; seq++) this.#givenUp.add(seq);
    for (const seq of this.#givenUp) {
      if (this.#givenUp.size <= REMEMBERED_HOLES) break;
      this.#givenUp.delete(seq);
    }
    this.#next = lowest;
    this.#drain();
  }

  #drain(): void {
    for (let held = this.#held.get(this.#next); held !== undefined; held = this.#held.get(this.#next)) {
      this.#held.delete(this.#next);
      this.#next += 1;
      this.#release(held.chunk);
    }
  }
}
