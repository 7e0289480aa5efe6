import { type Clock, monotonicNowMs } from '../clock.ts';

/** Lines a second, whatever the number of addresses. */
const MAX_LINES = 20;
const WINDOW_MS = 1_000;

/** Decides which refusals get a line in the log: one a second and address. Those without are counted. */
export class RefusalLog {
  readonly #now: Clock;
  readonly #addresses = new Set<string>();
  #windowEndsAtMs = 0;
  #unlogged = 0;

  constructor(now: Clock = monotonicNowMs) {
    this.#now = now;
  }

  /** How many refusals had no line since the last that had; undefined: this one has none either. */
  admit(address: string): number | undefined {
    const nowMs = this.#now();
    if (nowMs >= this.#windowEndsAtMs) {
      this.#windowEndsAtMs = nowMs + WINDOW_MS;
      this.#addresses.clear();
    }
    if (this.#addresses.has(address) || this.#addresses.size >= MAX_LINES) {
      this.#unlogged++;
      return undefined;
    }
    this.#addresses.add(address);
    const unlogged = this.#unlogged;
    this.#unlogged = 0;
    return unlogged;
  }
}
