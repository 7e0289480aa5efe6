import type { Transferable } from 'node:worker_threads';
import { type Frame, Tag } from './wire.ts';

/** Posts one message. @throws a `DataCloneError`; nothing was sent then */
type Post = (message: unknown, transfer: readonly Transferable[] | undefined) => void;

interface Gathered {
  readonly frame: Frame;
  readonly transfer: readonly Transferable[] | undefined;
  readonly onUnsendable: (cause: unknown) => void;
}

/**
 * The frames of one peer on their way to its port. Most are a message each; those that are gathered share one with all
 * that are gathered in the same turn of microtasks, since a message costs more than what is in it. Order holds: a frame
 * that is sent takes those with it that were gathered before it.
 */
export class Outbound {
  readonly #post: Post;
  #gathered: Gathered[] = [];

  constructor(post: Post) {
    this.#post = post;
  }

  /** @throws a `DataCloneError` when the frame cannot be sent. Nothing of it was sent then. */
  send(frame: Frame, transfer: readonly Transferable[] | undefined): void {
    if (this.#gathered.length > 0) this.flush();
    this.#post(frame, transfer);
  }

  /** @param onUnsendable told when the frame turns out to be one that cannot be sent; others are not affected */
  gather(frame: Frame, transfer: readonly Transferable[] | undefined, onUnsendable: (cause: unknown) => void): void {
    // What was queued in this turn before runs before the flush, and may add to it.
    if (this.#gathered.push({ frame, transfer, onUnsendable }) === 1) queueMicrotask(() => this.flush());
  }

  /** Posts what has been gathered. */
  flush(): void {
    const gathered = this.#gathered;
    if (gathered.length === 0) return;
    this.#gathered = [];
    if (gathered.length > 1) {
      try {
        const transfers = gathered.flatMap(({ transfer }) => transfer ?? []);
        this.#post([Tag.Batch, 0, gathered.map(({ frame }) => frame)], transfers.length > 0 ? transfers : undefined);
        return;
      } catch {
        // One of them cannot be cloned, and nothing was sent: each finds out for itself.
      }
    }
    for (const { frame, transfer, onUnsendable } of gathered) {
      try {
        this.#post(frame, transfer);
      } catch (cause) {
        onUnsendable(cause);
      }
    }
  }
}
