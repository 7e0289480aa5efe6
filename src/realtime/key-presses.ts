/** Keys pressed within this time are told together. */
const GATHER_MS = 1_000;

/** Gathers the keys that a caller presses one after the other: `#` ends a number, otherwise a pause does. */
export class KeyPresses {
  readonly #onDigits: (digits: string) => void;
  #digits = '';
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param onDigits given each number when it is over */
  constructor(onDigits: (digits: string) => void) {
    this.#onDigits = onDigits;
  }

  press(digits: string): void {
    if (this.#closed) return;
    this.#digits += digits;
    clearTimeout(this.#timer);
    if (digits.endsWith('#')) this.#flush();
    else this.#timer = setTimeout(() => this.#flush(), GATHER_MS);
  }

  /** Forgets what was gathered. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #flush(): void {
    const digits = this.#digits;
    this.#digits = '';
    if (digits !== '') this.#onDigits(digits);
  }
}
