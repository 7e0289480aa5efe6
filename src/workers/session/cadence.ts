/** Without audio from a client for this long, silence goes upstream, so that its VAD can close a turn. */
export const SILENCE_AFTER_MS = 300;
/** The same while too little is known of a client to tell whether it is half-duplex. */
const UNKNOWN_CLIENT_MS = 1_500;
/** The longest pause that silence waits for, whatever the rhythm. */
const MAX_PATIENCE_MS = 15_000;
/** Chunks from which a client's rhythm is known. */
const KNOWN_FROM_CHUNKS = 5;
/** Gaps between chunks that are remembered. */
const REMEMBERED_GAPS = 12;
/** What a client sends at once and is longer than this is all that it has to say, and no piece of a rhythm. */
const MAX_PIECE_MS = 1_000;

/**
 * Learns in which rhythm a client sends its chunks, and so how long it may be quiet before it counts as silent.
 *
 * A client in full duplex sends every few milliseconds; what it sends after a stall of its network comes at once. One in
 * half duplex records a piece, sends it, polls or plays, and records the next: pauses come again and again. So a pause
 * belongs to the rhythm once a quarter of the latest gaps are as long, and silence waits for twice that. A stall now and
 * then changes nothing. A gap in which a reply was played to its end is no rhythm either: the client, or the caller, was
 * listening.
 */
export class ClientCadence {
  readonly #gapsMs = new Float64Array(REMEMBERED_GAPS);
  #gaps = 0;
  #chunks = 0;
  #lastAtMs = Number.NEGATIVE_INFINITY;
  /** Audio of the last chunk. */
  #chunkMs = 0;
  #repliesEndAtMs = Number.NEGATIVE_INFINITY;
  #patienceMs: number | undefined;

  /**
   * Audio came. Frames with the same time are of one chunk.
   * @param atMs when the chunk arrived at the gateway
   */
  heard(atMs: number, audioMs: number): void {
    this.#patienceMs = undefined;
    if (atMs === this.#lastAtMs) {
      this.#chunkMs += audioMs;
      return;
    }
    // A chunk that was put in order arrived before the one that it had waited for.
    const gapMs = Math.max(0, atMs - this.#lastAtMs);
    const listened = this.#repliesEndAtMs > this.#lastAtMs && this.#repliesEndAtMs <= atMs;
    if (this.#chunks > 0 && !listened && this.#chunkMs <= MAX_PIECE_MS) {
      this.#gapsMs[this.#gaps % REMEMBERED_GAPS] = gapMs;
      this.#gaps += 1;
    }
    this.#chunks += 1;
    this.#lastAtMs = Math.max(atMs, this.#lastAtMs);
    this.#chunkMs = audioMs;
  }

  /** Audio of a reply is on its way to the client, which plays it behind what came before. */
  replied(atMs: number, audioMs: number): void {
    this.#repliesEndAtMs = Math.max(this.#repliesEndAtMs, atMs) + audioMs;
  }

  /** The caller speaks: what was still to be played is dropped. */
  interrupted(atMs: number): void {
    this.#repliesEndAtMs = Math.min(this.#repliesEndAtMs, atMs);
  }

  /** How long the client may send nothing before silence goes upstream in its place; at least `SILENCE_AFTER_MS`. */
  get patienceMs(): number {
    this.#patienceMs ??= this.#patience();
    return this.#patienceMs;
  }

  #patience(): number {
    if (this.#chunkMs > MAX_PIECE_MS) return SILENCE_AFTER_MS;
    const known = Math.min(this.#gaps, REMEMBERED_GAPS);
    const falling = this.#gapsMs.slice(0, known).sort().reverse();
    const rhythmMs = falling[Math.max(0, Math.floor(known / 4) - 1)] ?? 0;
    const knownMs = rhythmMs <= SILENCE_AFTER_MS ? SILENCE_AFTER_MS : Math.min(2 * rhythmMs, MAX_PATIENCE_MS);
    return this.#chunks < KNOWN_FROM_CHUNKS ? Math.max(knownMs, UNKNOWN_CLIENT_MS) : knownMs;
  }
}
