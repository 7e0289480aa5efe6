import { monotonicNowMs } from '../src/clock.ts';

/** Sends what is due. */
export interface Sender {
  /** Called once a period, at its time or late. */
  step(nowMs: number): void;
}

/**
 * One clock for all streamed calls of a process: whoever is due within the same 2 ms is served by one timer, on an
 * absolute schedule, because a timer a call would be most of what a generator spends.
 */
export class SendClock {
  readonly #slotMs: number;
  readonly #slots: readonly Set<Sender>[];
  readonly #t0Ms = monotonicNowMs();
  /** The next slot to be served, counted from the beginning of time. */
  #next = 0;
  #members = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param periodMs whole milliseconds from one step of a sender to its next */
  constructor(periodMs: number) {
    this.#slotMs = periodMs % 2 === 0 ? 2 : 1;
    this.#slots = Array.from({ length: periodMs / this.#slotMs }, () => new Set<Sender>());
  }

  /**
   * Serves a sender until it is removed.
   * @param fromMs when it wants its first step
   * @returns when it has it: the first time on the clock from then on
   */
  add(sender: Sender, fromMs: number): number {
    const slot = Math.max(0, Math.ceil((fromMs - this.#t0Ms) / this.#slotMs));
    this.#slots[slot % this.#slots.length]!.add(sender);
    this.#members += 1;
    if (this.#members === 1) this.#next = this.#slotAt(monotonicNowMs());
    this.#sleep();
    return this.#t0Ms + slot * this.#slotMs;
  }

  /** Idempotent. */
  remove(sender: Sender): void {
    for (const members of this.#slots) if (members.delete(sender)) this.#members -= 1;
    if (this.#members > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #slotAt(ms: number): number {
    return Math.floor((ms - this.#t0Ms) / this.#slotMs);
  }

  #sleep(): void {
    clearTimeout(this.#timer);
    let slot = this.#next;
    while (this.#slots[slot % this.#slots.length]!.size === 0) slot += 1;
    const waitMs = this.#t0Ms + slot * this.#slotMs - monotonicNowMs();
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, Math.ceil(waitMs)));
  }

  #tick(): void {
    const nowMs = monotonicNowMs();
    const last = this.#slotAt(nowMs);
    // After a standstill each is served once: senders look at the time, not at a count.
    const from = Math.max(this.#next, last - this.#slots.length + 1);
    this.#next = last + 1;
    for (let slot = from; slot <= last; slot++) {
      for (const sender of this.#slots[slot % this.#slots.length]!) sender.step(nowMs);
    }
    if (this.#members > 0) this.#sleep();
  }
}
