import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';

/** Mistakes that cost nothing. */
const FREE_FAILURES = 4;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** How long an address is remembered after its last mistake. */
const MEMORY_MS = 900_000;
const MAX_ADDRESSES = 10_000;

interface Failures {
  count: number;
  untilMs: number;
}

/** Slows down whoever tries keys: after a few wrong ones, each costs its address a pause twice as long as the one before. */
export class SignInThrottle {
  readonly #nowMs: () => number;
  readonly #failures: LRUCache<string, Failures>;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#failures = new LRUCache({ max: MAX_ADDRESSES, ttl: MEMORY_MS, perf: { now: nowMs }, ttlResolution: 0 });
  }

  /**
   * Counts an attempt as failed before it is looked at: those that are made at once get no more than one after the other.
   * @returns milliseconds that are to pass before another attempt of this address; 0: it may try now
   */
  attempt(address: string): number {
    const key = networkOf(address);
    const nowMs = this.#nowMs();
    const failures = this.#failures.get(key) ?? { count: 0, untilMs: 0 };
    if (failures.untilMs > nowMs) return failures.untilMs - nowMs;
    failures.count += 1;
    const doublings = failures.count - FREE_FAILURES - 1;
    if (doublings >= 0) failures.untilMs = nowMs + Math.min(FIRST_PAUSE_MS * 2 ** doublings, LONGEST_PAUSE_MS);
    this.#failures.set(key, failures);
    return 0;
  }

  /** The attempt was right. */
  succeeded(address: string): void {
    this.#failures.delete(networkOf(address));
  }
}

/** Of IPv6 addresses, one customer has 2^64. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    groups.push(...Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0'), ...rest);
  }
  return groups.slice(0, 4).join(':');
}
