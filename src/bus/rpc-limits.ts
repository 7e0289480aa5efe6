import { monotonicNowMs } from '../clock.ts';
import { aborted, expired } from './call-errors.ts';
import type { CallOptions } from './client.ts';
import { Deadline } from './deadline.ts';
import { BusError } from './error.ts';
import { Status } from './status.ts';

/** What may end a call from its caller's side before it is answered: a deadline and signals, its own or its parent's. */
export class RpcLimits {
  readonly #method: string;
  readonly #cutOff: (error: BusError) => void;
  readonly #onAbort = (event: Event): void => this.#cutOff(aborted(this.#method, event.target as AbortSignal));
  #deadline: Deadline | undefined;
  #signals: AbortSignal[] = [];

  /** `cutOff` is called with the reason when one of the limits is reached after {@link impose}. */
  constructor(method: string, cutOff: (error: BusError) => void) {
    this.#method = method;
    this.#cutOff = cutOff;
  }

  /** The earliest of the deadlines, on the clock of {@link monotonicNowMs}; 0 without any. */
  get deadlineMs(): number {
    return this.#deadline?.atMs ?? 0;
  }

  /** Watches the limits that `options` set. Returns the error if one of them is reached already. */
  impose({ timeoutMs = Infinity, signal, parent }: CallOptions): BusError | undefined {
    if (Number.isNaN(timeoutMs)) {
      return new BusError(Status.InvalidArgument, `${this.#method}: timeoutMs is not a number`);
    }
    for (const each of [signal, parent?.signal]) {
      if (each === undefined) continue;
      if (each.aborted) return aborted(this.#method, each);
      each.addEventListener('abort', this.#onAbort);
      this.#signals.push(each);
    }
    let atMs = parent?.deadline ?? Infinity;
    if (timeoutMs === Infinity && atMs === Infinity) return undefined;
    const nowMs = monotonicNowMs();
    atMs = Math.min(atMs, nowMs + timeoutMs);
    if (atMs <= nowMs) return expired(this.#method);
    this.#deadline = new Deadline(atMs, () => this.#cutOff(expired(this.#method)));
    return undefined;
  }

  /** Watches no longer. */
  lift(): void {
    this.#deadline?.clear();
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#onAbort);
    this.#signals = [];
  }
}
