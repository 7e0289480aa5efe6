import { setTimeout } from 'node:timers/promises';
import type { HeldCall } from './held-calls.ts';

/** A turn tells several things at once: they are saved together. */
const GATHER_MS = 20;

export interface SnapshotStore {
  /** What the call needs to go on elsewhere; undefined: it does not go on. */
  snapshotOf(held: HeldCall): string | undefined;
  /** @returns whether the call is still this node's; it counts as such while nobody can be asked */
  save(held: HeldCall, snapshot: string, isReleased: boolean): Promise<boolean>;
  /** Whether the call is still this node's, as `save` says it. */
  holds(held: HeldCall): Promise<boolean>;
  /** The call is another node's by now. */
  onOutdone(held: HeldCall): void;
}

/** Keeps the directory's snapshots of this node's calls up to date: one is written at a time, and the last one counts. */
export class Snapshots {
  readonly #store: SnapshotStore;
  readonly #pending = new Map<HeldCall, Promise<boolean>>();
  readonly #dirty = new Set<HeldCall>();

  constructor(store: SnapshotStore) {
    this.#store = store;
  }

  /** Something of a call has changed that is worth keeping. */
  changed(held: HeldCall): void {
    void this.save(held);
  }

  /** Resolves when what is so now has been saved, with whether the call is still this node's. */
  async save(held: HeldCall): Promise<boolean> {
    this.#dirty.add(held);
    let pending = this.#pending.get(held);
    if (!pending) {
      pending = this.#write(held).finally(() => this.#pending.delete(held));
      this.#pending.set(held, pending);
    }
    const isOurs = await pending;
    return isOurs && this.#dirty.has(held) ? await this.save(held) : isOurs;
  }

  /** Saves for the last time: whoever takes the call from here on may. */
  async release(held: HeldCall): Promise<boolean> {
    await this.#pending.get(held);
    return await this.#writeOnce(held, true);
  }

  async #write(held: HeldCall): Promise<boolean> {
    await setTimeout(GATHER_MS);
    let isOurs = true;
    while (isOurs && this.#dirty.delete(held)) isOurs = await this.#writeOnce(held, false);
    if (!isOurs) this.#dirty.delete(held);
    return isOurs;
  }

  async #writeOnce(held: HeldCall, isReleased: boolean): Promise<boolean> {
    const snapshot = this.#store.snapshotOf(held);
    const isOurs =
      snapshot === undefined ? await this.#store.holds(held) : await this.#store.save(held, snapshot, isReleased);
    if (!isOurs) this.#store.onOutdone(held);
    return isOurs;
  }
}
