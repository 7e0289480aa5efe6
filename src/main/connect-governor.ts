import type { UpstreamErrorClass } from '../realtime/upstream-error.ts';

export interface ConnectGovernorOptions {
  /** Most connections opened a second, over all sessions. */
  readonly perSecond: number;
  /** Failures in a row after which no more are tried for a while. */
  readonly failuresToOpen?: number;
  /** How long that while is. */
  readonly openMs?: number;
  readonly nowMs?: () => number;
}

/**
 * Decides when the next upstream connection may be opened, so that hundreds of calls that lose their sockets at the
 * same moment come back one after the other, and an upstream that is down is asked now and then instead of all the time.
 */
export class ConnectGovernor {
  readonly #spacingMs: number;
  readonly #failuresToOpen: number;
  readonly #openMs: number;
  readonly #nowMs: () => number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #nextAtMs = 0;
  #failures = 0;
  #openUntilMs = 0;

  constructor({ perSecond, failuresToOpen = 10, openMs = 2_000, nowMs = Date.now }: ConnectGovernorOptions) {
    this.#spacingMs = 1000 / perSecond;
    this.#failuresToOpen = failuresToOpen;
    this.#openMs = openMs;
    this.#nowMs = nowMs;
  }

  /** Whether the upstream is taken to be down, so that a new call need not try. */
  get isOpen(): boolean {
    return this.#nowMs() < this.#openUntilMs;
  }

  /** Resolves when the caller may connect. */
  permit(): Promise<void> {
    const nowMs = this.#nowMs();
    const atMs = Math.max(nowMs, this.#nextAtMs, this.#openUntilMs);
    this.#nextAtMs = atMs + this.#spacingMs;
    if (atMs <= nowMs) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        // The upstream may have been found to be down in the meantime.
        if (this.isOpen) void this.permit().then(resolve);
        else resolve();
      }, atMs - nowMs);
      this.#timers.add(timer);
    });
  }

  /** What became of an attempt. A refusal is an answer: the upstream is there. */
  result(result: 'ok' | UpstreamErrorClass): void {
    if (result === 'ok' || result === 'refused') {
      this.#failures = 0;
      this.#openUntilMs = 0;
      return;
    }
    this.#failures += 1;
    if (this.#failures >= this.#failuresToOpen) {
      this.#openUntilMs = this.#nowMs() + this.#openMs;
      // One failure more opens it again: the first attempt afterwards is a probe.
      this.#failures = this.#failuresToOpen - 1;
    }
  }

  /** Forgets who waits. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
