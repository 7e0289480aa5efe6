import type { OpenItem } from './host.ts';

interface ReplyItem {
  readonly itemId: string;
  readonly responseId: string;
  readonly isProtected: boolean;
  receivedMs: number;
  text: string;
  audioEnded: boolean;
  textReported: boolean;
}

/**
 * The reply items of a session, by id: a response may have two of them, and the end of the first may come after the
 * beginning of the second.
 */
export class ReplyItems {
  #items = new Map<string, ReplyItem>();
  /** Responses whose further audio nobody is to hear. */
  #interrupted = new Set<string>();

  /** The item's record, made at its first event. */
  get(itemId: string, responseId: string, isProtected = false): ReplyItem {
    let item = this.#items.get(itemId);
    if (!item) {
      item = { itemId, responseId, isProtected, receivedMs: 0, text: '', audioEnded: false, textReported: false };
      this.#items.set(itemId, item);
    }
    return item;
  }

  find(itemId: string): ReplyItem | undefined {
    return this.#items.get(itemId);
  }

  /** Items with audio that the caller may not have heard to the end. */
  open(): OpenItem[] {
    const open: OpenItem[] = [];
    for (const { itemId, responseId, receivedMs, isProtected } of this.#items.values()) {
      if (receivedMs > 0 && !this.#interrupted.has(responseId)) open.push({ itemId, receivedMs, isProtected });
    }
    return open;
  }

  /** Items of a response. */
  ofResponse(responseId: string): ReplyItem[] {
    return [...this.#items.values()].filter((item) => item.responseId === responseId);
  }

  interrupt(responseId: string): void {
    this.#interrupted.add(responseId);
  }

  isInterrupted(responseId: string): boolean {
    return this.#interrupted.has(responseId);
  }

  /** Forgets items that need no attention any more. */
  forget(itemIds: Iterable<string>): void {
    for (const itemId of itemIds) {
      const item = this.#items.get(itemId);
      if (item?.audioEnded && item.textReported) this.#items.delete(itemId);
    }
  }

  /** All items that are still being received, as when the connection they came on is lost. */
  unfinished(): ReplyItem[] {
    return [...this.#items.values()].filter((item) => !item.audioEnded || !item.textReported);
  }
}
