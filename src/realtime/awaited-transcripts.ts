/** A transcription that takes longer than this is no longer waited for. */
const WAIT_MS = 5_000;

/** Turns of the caller whose words the server has yet to tell. They come when they come, or never. */
export class AwaitedTranscripts {
  #since = new Map<string, number>();
  /** Turns whose words came before the turn was known to be one. */
  #early = new Set<string>();

  add(itemId: string, nowMs: number): void {
    if (!this.#early.delete(itemId)) this.#since.set(itemId, nowMs);
  }

  /** The words came, or never will. */
  settle(itemId: string): void {
    if (!this.#since.delete(itemId)) this.#early.add(itemId);
  }

  /** Whether one may still come soon. */
  isWaiting(nowMs: number): boolean {
    for (const sinceMs of this.#since.values()) if (nowMs - sinceMs < WAIT_MS) return true;
    return false;
  }

  /** Gives all of them up, as when the connection is gone that would have brought them. */
  takeAll(): string[] {
    const itemIds = [...this.#since.keys()];
    this.#since.clear();
    return itemIds;
  }
}
