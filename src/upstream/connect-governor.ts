import { type Clock, monotonicNowMs, timerMs } from '../clock.ts';
import { ConnectRecord, type ConnectReport } from './connect-record.ts';
import type { ConnectPermit, ConnectRequest, ConnectResult } from './host.ts';

export interface ConnectGovernorOptions {
  /** Most connections opened a second, over all sessions. */
  readonly perSecond: number;
  /** Failures in a row after which the upstream is taken to be down. */
  readonly failuresToOpen?: number;
  /** How long nothing is tried after that, and after each failed try, until one succeeds. */
  readonly openMs?: number;
  /** A permit whose result has not come by then is taken back. */
  readonly permitMs?: number;
  readonly now?: Clock;
}

/** A session with less time than this, or than half of what it had, would not be connected before it gives up. */
const MIN_CONNECT_MS = 1_000;

interface Waiter {
  readonly endsAtMs: number;
  /** From here on it is not worth a permit. */
  readonly hopelessAtMs: number;
  readonly take: (permit: Permit) => void;
  readonly reject: (error: unknown) => void;
}

interface Permit extends ConnectPermit {
  readonly atMs: number;
  /** When the permit before it was given. */
  readonly previousAtMs: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Decides when the next upstream connection may be opened, so that hundreds of calls that lose their sockets at the
 * same moment come back one after the other, and an upstream that is down is asked now and then instead of all the time.
 *
 * Whoever has the least time left goes first, in the order of asking where that is equal. While the upstream is down one
 * session at a time tries, the one with the most time left: its failure is then the upstream's, and its success lets
 * all others through.
 */
export class ConnectGovernor {
  readonly #spacingMs: number;
  readonly #failuresToOpen: number;
  readonly #openMs: number;
  readonly #permitMs: number;
  readonly #now: Clock;
  readonly #record: ConnectRecord;
  readonly #waiting = new Set<Waiter>();
  readonly #permits = new Set<Permit>();
  #timer: NodeJS.Timeout | undefined;
  #lastPermitAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** The one that tries while the upstream is down. */
  #probe: Permit | undefined;
  #probeNotBeforeMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ConnectGovernorOptions) {
    const { perSecond, failuresToOpen = 10, openMs = 1_000, permitMs = 15_000, now = monotonicNowMs } = options;
    this.#spacingMs = 1000 / perSecond;
    this.#failuresToOpen = failuresToOpen;
    this.#openMs = openMs;
    this.#permitMs = permitMs;
    this.#now = now;
    this.#record = new ConnectRecord(now);
  }

  /** How the last attempts ended. */
  get report(): ConnectReport {
    return this.#record.report;
  }

  /** Whether the upstream is taken to be down. */
  get isOpen(): boolean {
    return this.#failures >= this.#failuresToOpen;
  }

  /** Sessions that wait for a permit. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves when one connection may be opened. Whoever holds a permit settles it.
   * Rejects with the signal's reason, or when the governor is closed.
   */
  permit({ signal, endsAtMs }: ConnectRequest): Promise<ConnectPermit> {
    if (this.#closed) return Promise.reject(closedError());
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiter.reject(signal.reason);
      const leave = () => {
        this.#waiting.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        endsAtMs,
        hopelessAtMs: endsAtMs - Math.min(MIN_CONNECT_MS, (endsAtMs - this.#now()) / 2),
        take(permit) {
          leave();
          resolve(permit);
        },
        reject(error) {
          leave();
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
      this.#next();
    });
  }

  /** Turns away who waits, and forgets the permits that are out. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { timer } of this.#permits) clearTimeout(timer);
    this.#permits.clear();
    for (const { reject } of [...this.#waiting]) reject(closedError());
  }

  /** Lets the next one through if it is time, and sees to it that the one after is thought of. */
  #next(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    for (;;) {
      // What becomes of the probe is heard of, or its time runs out.
      if (this.isOpen && this.#probe) return;
      const nowMs = this.#now();
      const waiter = this.#pick(nowMs);
      if (!waiter) return;
      const waitMs = this.#dueAtMs() - nowMs;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#next(), timerMs(waitMs));
        return;
      }
      waiter.take(this.#grant(nowMs));
    }
  }

  #pick(nowMs: number): Waiter | undefined {
    let best: Waiter | undefined;
    for (const waiter of this.#waiting) {
      if (waiter.hopelessAtMs <= nowMs) continue;
      const isBetter =
        best === undefined || (this.isOpen ? waiter.endsAtMs > best.endsAtMs : waiter.endsAtMs < best.endsAtMs);
      if (isBetter) best = waiter;
    }
    return best;
  }

  #dueAtMs(): number {
    const spacedAtMs = this.#lastPermitAtMs + this.#spacingMs;
    return this.isOpen ? Math.max(spacedAtMs, this.#probeNotBeforeMs) : spacedAtMs;
  }

  #grant(nowMs: number): Permit {
    const permit: Permit = {
      atMs: nowMs,
      previousAtMs: this.#lastPermitAtMs,
      // Its worker died, or lost it: that says nothing of the upstream.
      timer: setTimeout(() => this.#settle(permit, 'given_up'), timerMs(this.#permitMs)),
      settle: (result) => this.#settle(permit, result),
    };
    this.#permits.add(permit);
    this.#lastPermitAtMs = nowMs;
    if (this.isOpen) this.#probe = permit;
    return permit;
  }

  #settle(permit: Permit, result: ConnectResult): void {
    if (!this.#permits.delete(permit)) return;
    clearTimeout(permit.timer);
    this.#record.ended(result);
    const wasProbe = this.#probe === permit;
    if (wasProbe) this.#probe = undefined;
    switch (result) {
      case 'unused':
        // Its turn goes to the next.
        if (this.#lastPermitAtMs === permit.atMs) this.#lastPermitAtMs = permit.previousAtMs;
        break;
      case 'given_up':
        break;
      case 'ok':
      case 'refused':
        // A refusal is an answer: the upstream is there.
        this.#failures = 0;
        break;
      default: {
        const wasOpen = this.isOpen;
        this.#failures += 1;
        // Those that were under way when it was found to be down fail one by one: they put no further try off.
        if (wasProbe || !wasOpen) this.#probeNotBeforeMs = this.#now() + this.#openMs;
      }
    }
    this.#next();
  }
}

function closedError(): Error {
  return new Error('the gateway is closing');
}
