/** The longest that a timer waits: what does not fit would come at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Timers that end with the connection they belong to. */
export class Timers {
  readonly #pending = new Set<NodeJS.Timeout>();
  #closed = false;

  /** Runs `task` after `delayMs` (0: as soon as the event loop comes round). Returns a function that calls it off. */
  after(delayMs: number, task: () => void): () => void {
    if (this.#closed) return () => {};
    const timer = setTimeout(
      () => {
        this.#pending.delete(timer);
        task();
      },
      Math.min(delayMs, MAX_DELAY_MS),
    );
    this.#pending.add(timer);
    return () => {
      clearTimeout(timer);
      this.#pending.delete(timer);
    };
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#pending) clearTimeout(timer);
    this.#pending.clear();
  }
}
