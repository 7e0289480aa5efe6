import { backoffMs } from '../backoff.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';

type AttemptsPolicy = Pick<ReconnectPolicy, 'maxAttempts' | 'firstBackoffMs' | 'maxBackoffMs' | 'stableAfterMs'>;

/** Counts the attempts to replace a lost connection, until one has lasted, and says how far apart they are. */
export class Attempts {
  readonly #policy: AttemptsPolicy;
  #made = 0;

  constructor(policy: AttemptsPolicy) {
    this.#policy = policy;
  }

  /** A connection was lost that had lasted for `lastedMs`. */
  lost(lastedMs: number): void {
    if (lastedMs >= this.#policy.stableAfterMs) this.#made = 0;
  }

  /** Counts one more attempt. @returns its number, from 1; undefined when there are none left */
  next(): number | undefined {
    if (this.#made >= this.#policy.maxAttempts) return undefined;
    this.#made += 1;
    return this.#made;
  }

  /** Milliseconds to wait before the attempt that was counted last. */
  get waitMs(): number {
    // The first one has its jitter too: many calls lose their sockets at the same moment.
    return this.#made <= 1 ? Math.random() * this.#policy.firstBackoffMs : this.backoffMs(this.#made - 1);
  }

  /** Milliseconds to wait after so many failures in a row. */
  backoffMs(failures: number): number {
    const { firstBackoffMs: baseMs, maxBackoffMs: maxMs } = this.#policy;
    return backoffMs(failures, { baseMs, maxMs });
  }
}
