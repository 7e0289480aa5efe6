import type { UpstreamErrorClass } from '../realtime/upstream-error.ts';

export interface ConnectGovernorOptions {
  /** Most connections opened a second, over all sessions. */
  readonly perSecond: number;
  /** Failures in a row after which the upstream is taken to be down. */
  readonly failuresToOpen?: number;
  /** How long nothing is tried then, and how far apart tries are afterwards, until one succeeds. */
  readonly openMs?: number;
  readonly nowMs?: () => number;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Decides when the next upstream connection may be opened, so that hundreds of calls that lose their sockets at the
 * same moment come back one after the other, in the order in which they asked, and an upstream that is down is asked
 * now and then instead of all the time.
 */
export class ConnectGovernor {
  readonly #spacingMs: number;
  readonly #failuresToOpen: number;
  readonly #openMs: number;
  readonly #nowMs: () => number;
  readonly #waiting: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lastPermitAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #lastFailureAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor({ perSecond, failuresToOpen = 10, openMs = 2_000, nowMs = Date.now }: ConnectGovernorOptions) {
    this.#spacingMs = 1000 / perSecond;
    this.#failuresToOpen = failuresToOpen;
    this.#openMs = openMs;
    this.#nowMs = nowMs;
  }

  /** Whether the upstream is taken to be down: tries are `openMs` apart, until one succeeds. */
  get isOpen(): boolean {
    return this.#failures >= this.#failuresToOpen;
  }

  /** Resolves when the caller may connect. Rejects when the governor is closed. */
  permit(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#next();
    });
  }

  /** What became of an attempt. A refusal is an answer: the upstream is there. */
  result(result: 'ok' | UpstreamErrorClass): void {
    if (result === 'ok' || result === 'refused') {
      this.#failures = 0;
    } else {
      this.#failures += 1;
      this.#lastFailureAtMs = this.#nowMs();
    }
    this.#next();
  }

  /** Turns away who waits. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.splice(0)) reject(closedError());
  }

  /** Lets the next one through if it is time, and sees to it that the one after is thought of. */
  #next(): void {
    clearTimeout(this.#timer);
    while (this.#waiting.length > 0) {
      const nowMs = this.#nowMs();
      const waitMs = this.#dueAtMs() - nowMs;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#next(), waitMs);
        return;
      }
      this.#lastPermitAtMs = nowMs;
      this.#waiting.shift()?.resolve();
    }
  }

  #dueAtMs(): number {
    if (!this.isOpen) return this.#lastPermitAtMs + this.#spacingMs;
    return Math.max(this.#lastPermitAtMs, this.#lastFailureAtMs) + this.#openMs;
  }
}

function closedError(): Error {
  return new Error('the gateway is closing');
}
