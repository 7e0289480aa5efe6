import type { ReplayItem } from '../upstream/conversation.ts';
import { goOn } from './own-words.ts';
import { previousInReplay } from './replay.ts';
import type { ResponseOverrides } from './response-scheduler.ts';

/** What the present connection was told of the conversation when it began. */
export class ToldConversation {
  #items: readonly ReplayItem[] = [];

  /** A connection has been told this. */
  told(items: readonly ReplayItem[]): void {
    this.#items = items;
  }

  has(itemId: string): boolean {
    return this.#items.some((item) => item.itemId === itemId);
  }

  /** The item before one that was told, `root` for the first; undefined: unknown. */
  previousOf(itemId: string): string | undefined {
    return previousInReplay(this.#items, itemId);
  }

  /** Has a reply go on of which the caller heard the beginning. */
  continued(overrides: ResponseOverrides | undefined): ResponseOverrides {
    return goOn(overrides, this.#items);
  }
}
