/** Random choices from a seed: the same seed, the same choices. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `from` to `to`. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.int(0, items.length - 1)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = this.int(0, 255);
    return bytes;
  }

  /** Text of every kind of character. */
  text(maxLength: number): string {
    const length = this.int(0, maxLength);
    const kind = this.int(0, 4);
    return Array.from({ length }, () => {
      switch (kind) {
        case 0:
          return String.fromCharCode(this.int(0x20, 0x7e));
        case 1:
          return String.fromCharCode(this.int(0, 0x1f));
        case 2:
          return String.fromCodePoint(this.int(0x80, 0x2fff));
        case 3:
          return String.fromCodePoint(this.int(0x1f300, 0x1faff));
        default:
          return this.pick(['../', '%00', "'", '"', '\\', '{{', '\u2028', '\ud800', '<', '&', ';', '\r\n', '\0', 'ﷺ']);
      }
    }).join('');
  }
}
