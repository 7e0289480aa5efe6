import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoffMs } from '../../src/backoff.ts';
import { monotonicNowMs } from '../../src/clock.ts';
import { ConnectGovernor } from '../../src/upstream/connect-governor.ts';
import { DEFAULT_RECONNECT_POLICY } from '../../src/upstream/reconnect-policy.ts';

const CREATE_TIMEOUT_MS = 10_000;
const HANDSHAKE_MS = 300;
const CONNECTS_PER_SECOND = 50;
/** What an outage may cost those who come after it. */
const RECOVERED_WITHIN_MS = 3_000;

const { maxOutageMs, firstBackoffMs: baseMs, maxBackoffMs: maxMs } = DEFAULT_RECONNECT_POLICY;

/** An upstream behind the gateway's governor, with the calls that want it, on virtual time. */
class Outage {
  readonly #governor = new ConnectGovernor({ perSecond: CONNECTS_PER_SECOND });
  isDown = false;
  attempts = 0;
  firstCreatedAtMs: number | undefined;

  close(): void {
    this.#governor.close();
  }

  /** One session's way to a connection, as a worker goes it. Returns whether it came to one. */
  async connect(withinMs: number): Promise<boolean> {
    const endsAtMs = monotonicNowMs() + withinMs;
    for (let failures = 1; ; failures++) {
      if (await this.#attempt(endsAtMs)) return true;
      const pauseMs = backoffMs(failures, { baseMs, maxMs });
      if (monotonicNowMs() + pauseMs >= endsAtMs) return false;
      await sleep(pauseMs);
    }
  }

  async #attempt(endsAtMs: number): Promise<boolean> {
    const wait = new AbortController();
    const timer = setTimeout(() => wait.abort(), endsAtMs - monotonicNowMs());
    const permit = await this.#governor.permit({ signal: wait.signal, endsAtMs }).catch(() => undefined);
    clearTimeout(timer);
    if (!permit) return false;
    this.attempts += 1;
    const { isDown } = this;
    await sleep(HANDSHAKE_MS);
    permit.settle(isDown ? 'unavailable' : 'ok');
    return !isDown;
  }

  create(): void {
    void this.connect(CREATE_TIMEOUT_MS).then((isCreated) => {
      if (isCreated && !this.isDown) this.firstCreatedAtMs ??= monotonicNowMs();
    });
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let outage: Outage;
beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  outage = new Outage();
});
afterEach(async () => {
  outage.close();
  await vi.advanceTimersByTimeAsync(120_000);
  vi.useRealTimers();
});

describe.each([5_000, 15_000, 60_000, 300_000])('an outage of %d ms', (outageMs) => {
  describe.each([0.5, 2, 20])('with %d creates a second', (perSecond) => {
    it.each([0, 20, 500])('and %d running calls is over soon after it is', async (runningCalls) => {
      outage.isDown = true;
      let stillRunning = 0;
      for (let i = 0; i < runningCalls; i++) {
        void outage.connect(maxOutageMs).then((isBack) => {
          if (isBack) stillRunning += 1;
        });
      }
      const creating = setInterval(() => outage.create(), 1000 / perSecond);
      await vi.advanceTimersByTimeAsync(outageMs);
      // It is asked now and then, and not by all who wait: about once a second, after those that found it down.
      expect(outage.attempts).toBeLessThanOrEqual(CONNECTS_PER_SECOND + outageMs / 1_000);
      expect(outage.attempts).toBeGreaterThanOrEqual(Math.min(2, outageMs / 5_000));
      outage.isDown = false;
      const backAtMs = monotonicNowMs();
      await vi.advanceTimersByTimeAsync(35_000);
      clearInterval(creating);

      expect(outage.firstCreatedAtMs! - backAtMs).toBeLessThanOrEqual(RECOVERED_WITHIN_MS);
      if (outageMs < maxOutageMs / 2) expect(stillRunning).toBe(runningCalls);
    });
  });
});
