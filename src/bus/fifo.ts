/** Emptied slots below this count are not worth a copy. */
const MIN_COMPACTION = 32;

/**
 * A first-in, first-out queue. `Array.prototype.shift` moves every remaining element; this moves an index and drops the
 * consumed head in one go when it outweighs what is left.
 */
export class Fifo<T> {
  #slots: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#slots.length - this.#head;
  }

  push(value: T): void {
    this.#slots.push(value);
  }

  /** Takes the oldest value; `undefined` when the queue is empty. */
  shift(): T | undefined {
    const slots = this.#slots;
    const head = this.#head;
    if (head === slots.length) return undefined;
    const value = slots[head];
    slots[head] = undefined; // what was taken must not be kept alive by the queue
    if (head + 1 === slots.length) {
      slots.length = 0;
      this.#head = 0;
    } else if (head + 1 >= MIN_COMPACTION && (head + 1) * 2 > slots.length) {
      slots.splice(0, head + 1);
      this.#head = 0;
    } else {
      this.#head = head + 1;
    }
    return value;
  }

  clear(): void {
    this.#slots = [];
    this.#head = 0;
  }
}
