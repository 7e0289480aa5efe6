import { monotonicNowMs } from '../../clock.ts';

/** Something that is done at times of its own. */
export interface OnTime {
  /** When it is due next, on the monotonic clock. */
  readonly dueMs: number;
  /** It is due, or was; sets `dueMs` on. */
  onTime(nowMs: number): void;
}

/**
 * One clock for the packets of all legs: absolute times, so that lateness never adds up, and one timer however many there
 * are. Calls with packets of the same length are due together.
 */
export class PacketClock {
  readonly #members = new Set<OnTime>();
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #wakesAtMs = 0;

  /** @param onError told what a member throws, which is not asked again; the others are not held up by it */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** The first time after `nowMs` that is a whole multiple of `everyMs`: the same one for all who ask. */
  static next(nowMs: number, everyMs: number): number {
    return (Math.floor(nowMs / everyMs) + 1) * everyMs;
  }

  add(member: OnTime): void {
    this.#members.add(member);
    if (this.#timer === undefined || member.dueMs < this.#wakesAtMs) this.#sleep(member.dueMs);
  }

  /** Idempotent. Without members nothing ticks. */
  remove(member: OnTime): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.close();
  }

  /** Stops. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #sleep(untilMs: number): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = untilMs;
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(untilMs - monotonicNowMs())));
  }

  #wake(): void {
    const nowMs = monotonicNowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const member of this.#members) {
      if (member.dueMs <= nowMs) {
        try {
          member.onTime(nowMs);
        } catch (error) {
          // It may not have set its time on: it would be due for ever.
          this.#members.delete(member);
          this.#onError(error);
          continue;
        }
      }
      if (member.dueMs < nextMs) nextMs = member.dueMs;
    }
    if (this.#members.size > 0) this.#sleep(nextMs);
  }
}
