import { monotonicNowMs, timerMs } from '../clock.ts';

/** A moment at which something is given up, and the timer that does it. Only calls with a deadline have one. */
export class Deadline {
  /** On the clock of {@link monotonicNowMs}. */
  readonly atMs: number;
  readonly #passed: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** Calls `passed` once `atMs` has passed, never within this call, unless {@link clear} comes first. */
  constructor(atMs: number, passed: () => void) {
    this.atMs = atMs;
    this.#passed = passed;
    this.#arm();
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #arm(): void {
    const leftMs = this.atMs - monotonicNowMs();
    this.#timer = setTimeout(() => this.#fired(), timerMs(leftMs));
    // Waiting for an answer keeps a process alive exactly if the port does.
    this.#timer.unref();
  }

  #fired(): void {
    // Timers count whole milliseconds and so may fire a fraction of one early; and this one may have been cut short.
    if (this.atMs > monotonicNowMs()) this.#arm();
    else this.#passed();
  }
}
