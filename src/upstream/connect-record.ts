import type { ConnectResult, UpstreamErrorClass } from './host.ts';

/** How the last attempts to reach the upstream ended. Plain data. */
export interface ConnectReport {
  readonly ok: number;
  readonly failed: number;
  /** Attempts in a row that failed, up to now. */
  readonly failedInARow: number;
  /** How the last of those that failed did. */
  readonly lastFailure?: UpstreamErrorClass;
  readonly lastFailureAgoMs?: number;
}

/** For how long an attempt counts. */
export const CONNECTS_WINDOW_MS = 300_000;
const MAX_KEPT = 1_000;

interface Attempt {
  readonly atMs: number;
  readonly result: ConnectResult;
}

/** Remembers how attempts to connect ended, for five minutes. */
export class ConnectRecord {
  readonly #nowMs: () => number;
  readonly #attempts: Attempt[] = [];
  #failedInARow = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** What was given up or never tried says nothing of the upstream. */
  ended(result: ConnectResult): void {
    if (result === 'given_up' || result === 'unused') return;
    this.#failedInARow = result === 'ok' ? 0 : this.#failedInARow + 1;
    this.#attempts.push({ atMs: this.#nowMs(), result });
    if (this.#attempts.length > MAX_KEPT) this.#attempts.shift();
  }

  get report(): ConnectReport {
    const nowMs = this.#nowMs();
    const recent = this.#attempts.filter(({ atMs }) => nowMs - atMs <= CONNECTS_WINDOW_MS);
    const failures = recent.filter(({ result }) => result !== 'ok');
    const last = failures.at(-1);
    return {
      ok: recent.length - failures.length,
      failed: failures.length,
      failedInARow: this.#failedInARow,
      ...(last ? { lastFailure: last.result as UpstreamErrorClass, lastFailureAgoMs: nowMs - last.atMs } : {}),
    };
  }
}
