import type { Agent } from 'undici';
import { type BackoffOptions, backoffMs } from '../../backoff.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { StoreEntry, SummaryMark } from '../../store/records.ts';
import { createAgent } from '../exchange.ts';
import type { BackendLog } from '../log.ts';
import type { W3ApiOptions } from '../w3-api.ts';
import { type OutgoingBody, type PostOutcome, postSummary } from './summary-outcome.ts';

const MAX_CONCURRENT_POSTS = 4;
const DEFAULT_TIMEOUT_MS = 5_000;
/** Longest pause while someone waits for everything to be sent. */
const MAX_PAUSE_IN_FLUSH_MS = 1_000;
const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 300_000 };

/** One attempt to post a summary, or its loss, for metrics. */
export interface DeliveryResult {
  readonly outcome: 'delivered' | 'refused' | 'failed' | 'lost';
  /** Absent: there was no answer. */
  readonly status?: number | undefined;
  readonly durationMs: number;
}

/** Where summaries are kept until they are delivered; it tells a {@link SummaryDelivery} what is there. */
export interface SummaryStore {
  listen(listener: { undelivered(ids: readonly string[]): void; lost(entry: StoreEntry): void }): void;
  /** Resolves when an entry is on the disk, or kept in memory for as long as the disk does not take it. */
  record(entry: StoreEntry): Promise<unknown>;
  /** @returns undefined when nobody has it any more; an empty body when its caller was forgotten */
  readSummary(id: string): Promise<OutgoingBody | undefined>;
  settle(id: string, mark: SummaryMark): void;
}

export interface SummaryDeliveryOptions {
  readonly store: SummaryStore;
  readonly log: BackendLog;
  /** Absent: the history is simply the record, and nothing of it is ever sent. */
  readonly remote?: W3ApiOptions | undefined;
  readonly onResult?: ((result: DeliveryResult) => void) | undefined;
  /** For one attempt, connecting included; default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Default 1 s to 5 min. */
  readonly backoff?: BackoffOptions | undefined;
}

/** A record the backend did not take yet. */
interface Retry {
  readonly failureCount: number;
  /** On the monotonic clock. */
  readonly notBeforeMs: number;
}

/**
 * Takes summaries to the W3 backend, at least once each and always under the same `Idempotency-Key`, by way of a store:
 * what was recorded arrives, across restarts, kills and outages of any length. While the disk takes none, the store keeps
 * them in memory, and they are sent from there.
 *
 * An attempt that found no backend, or got 408, 425, 429 or 5xx, is repeated with growing pauses (`Retry-After` is
 * heeded); while nothing succeeds, one attempt at a time is made. 409 counts as delivered. Any other status is noted in
 * the history as refused and logged; when it speaks of the configuration (a redirect, 401, 403, 404), the summary is
 * tried again after the next start.
 */
export class SummaryDelivery {
  readonly #store: SummaryStore;
  readonly #remote: W3ApiOptions | undefined;
  readonly #log: BackendLog;
  readonly #onResult: (result: DeliveryResult) => void;
  readonly #timeoutMs: number;
  readonly #backoff: BackoffOptions;
  readonly #agent: Agent = createAgent(MAX_CONCURRENT_POSTS);
  readonly #stop = new AbortController();

  /** Everything the backend is to get, by id; settled entries leave. */
  readonly #pending = new Set<string>();
  /** Refused because of the configuration: nothing to do until the next start. */
  readonly #parked = new Set<string>();
  /** Those whose turn it is, in order. */
  readonly #ready = new Set<string>();
  readonly #retries = new Map<string, Retry>();
  readonly #underWay = new Map<string, Promise<void>>();
  /** Failures since the backend last answered sensibly. */
  #failureCount = 0;
  #pausedUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #waitingForEmpty = new Set<() => void>();
  #closing: Promise<void> | undefined;

  /** Starts to send what is left from an earlier run. */
  constructor(options: SummaryDeliveryOptions) {
    this.#store = options.store;
    this.#remote = options.remote;
    this.#log = options.log;
    this.#onResult = options.onResult ?? (() => {});
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#store.listen({ undelivered: (ids) => this.#onUndelivered(ids), lost: (entry) => this.#onLost(entry) });
  }

  /** Summaries that the backend does not have yet and will be sent. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Whether the backend has taken none since it last failed to. */
  get isFailing(): boolean {
    return this.#failureCount > 0;
  }

  /**
   * Takes what is to be kept of a call; when this resolves, it survives a crash, or the disk has failed and it is kept in
   * memory until the disk or the backend takes it.
   * @throws {StoreError} `store_closed` when it came too late
   */
  async record(entry: StoreEntry): Promise<void> {
    const recorded = this.#store.record(entry);
    if (!this.#remote || !entry.summary) {
      await recorded;
      return;
    }
    this.#pending.add(entry.id);
    try {
      await recorded;
    } catch (error) {
      this.#forget(entry.id);
      throw error;
    }
    // It may have been lost while it was waited for.
    if (!this.#pending.has(entry.id)) return;
    this.#ready.add(entry.id);
    this.#pump();
  }

  /**
   * Tries to send everything now, whatever pause was on, and every second from then on; resolves when all is sent, or
   * after `timeoutMs`.
   */
  async flush(timeoutMs: number): Promise<void> {
    if (!this.#remote || this.#closing || this.pending === 0) return;
    this.#pausedUntilMs = 0;
    for (const [id, { failureCount }] of this.#retries) this.#retries.set(id, { failureCount, notBeforeMs: 0 });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waitingForEmpty.add(resolve);
    const timer = setTimeout(resolve, timeoutMs);
    this.#pump();
    await promise;
    clearTimeout(timer);
    this.#waitingForEmpty.delete(resolve);
  }

  /** Breaks off what is being sent: it will be sent again after the next start. The store is closed by its owner. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    for (const resolve of this.#waitingForEmpty) resolve();
    await Promise.all(this.#underWay.values());
    await this.#agent.destroy();
  }

  #onUndelivered(ids: readonly string[]): void {
    const fresh = ids.filter((id) => !this.#pending.has(id) && !this.#parked.has(id));
    for (const id of fresh) this.#pending.add(id);
    const { length: count } = fresh;
    if (!this.#remote) {
      if (count > 0) this.#log.warn({ count }, 'call summaries wait for a backend, but W3_API_URL is not set');
      return;
    }
    if (count > 0) this.#log.info({ count }, 'call summaries left by an earlier run are being sent');
    for (const id of fresh) this.#ready.add(id);
    this.#pump();
  }

  #onLost(entry: StoreEntry): void {
    if (entry.summaryState === 'delivered' || entry.summaryState === 'refused') {
      this.#log.error({ sessionId: entry.id }, 'a call has no history: the disk did not take it');
      return;
    }
    this.#forget(entry.id);
    this.#reportLost({ sessionId: entry.id, callId: entry.call?.callId, tenantId: entry.summary?.tenantId });
  }

  #reportLost(fields: { sessionId: string; callId?: string | undefined; tenantId?: string | undefined }): void {
    this.#log.error(fields, 'a call summary is lost: neither the disk nor the backend took it');
    this.#onResult({ outcome: 'lost', durationMs: 0 });
  }

  #forget(id: string): void {
    this.#pending.delete(id);
    this.#ready.delete(id);
    this.#retries.delete(id);
  }

  /** It is out of the way, delivered or not. */
  #settle(id: string, mark: SummaryMark): void {
    this.#forget(id);
    if (mark.kind === 'refused' && !mark.isFinal) this.#parked.add(id);
    this.#store.settle(id, mark);
  }

  /** Sends what may be sent now, and sees to being called again when more may. */
  #pump(): void {
    if (this.#closing || !this.#remote) return;
    if (this.pending === 0) for (const resolve of this.#waitingForEmpty) resolve();
    const nowMs = monotonicNowMs();
    let wakeAtMs = Number.POSITIVE_INFINITY;
    for (const [id, { notBeforeMs }] of this.#retries) {
      if (this.#underWay.has(id) || this.#ready.has(id)) continue;
      if (notBeforeMs <= nowMs) this.#ready.add(id);
      else wakeAtMs = Math.min(wakeAtMs, notBeforeMs);
    }
    if (nowMs < this.#pausedUntilMs) {
      if (this.#ready.size > 0) wakeAtMs = Math.min(wakeAtMs, this.#pausedUntilMs);
    } else {
      const limit = this.#failureCount > 0 ? 1 : MAX_CONCURRENT_POSTS;
      for (const id of this.#ready) {
        if (this.#underWay.size >= limit) break;
        this.#ready.delete(id);
        this.#start(id, this.#remote);
      }
    }
    clearTimeout(this.#timer);
    if (wakeAtMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pump(), wakeAtMs - nowMs);
    this.#timer.unref();
  }

  #start(id: string, remote: W3ApiOptions): void {
    const run = this.#deliver(id, remote)
      .catch((err) => {
        this.#log.error({ err }, 'call summary could not be sent');
        this.#putOff(id, 0);
      })
      .finally(() => {
        this.#underWay.delete(id);
        this.#pump();
      });
    this.#underWay.set(id, run);
  }

  async #deliver(id: string, remote: W3ApiOptions): Promise<void> {
    const summary = await this.#store.readSummary(id);
    // Lost while it waited for its turn.
    if (!this.#pending.has(id)) return;
    if (!summary) {
      this.#settle(id, { kind: 'refused', isFinal: true });
      this.#reportLost({ sessionId: id });
      return;
    }
    if (summary.body === '') {
      this.#log.info({ sessionId: id }, 'a call summary is not sent: its caller was forgotten');
      this.#settle(id, { kind: 'refused', isFinal: true });
      return;
    }
    const outcome = await this.#post(remote, id, summary);
    switch (outcome.kind) {
      case 'delivered':
        this.#backendAnswered();
        this.#settle(id, { kind: 'delivered' });
        break;
      case 'refused': {
        this.#backendAnswered();
        const fields = { sessionId: id, callId: callIdOf(summary), tenantId: summary.tenantId, reason: outcome.reason };
        const next = outcome.isFinal ? 'it is not sent again' : 'it is sent again after the next start';
        this.#log.error(fields, `W3 backend refused a call summary: ${next}`);
        this.#settle(id, { kind: 'refused', status: outcome.status, isFinal: outcome.isFinal });
        break;
      }
      case 'failed':
        this.#backendFailed(outcome.reason, outcome.retryAfterMs);
        this.#putOff(id, outcome.retryAfterMs);
        break;
      case 'aborted':
        break;
    }
  }

  async #post(remote: W3ApiOptions, id: string, summary: OutgoingBody): Promise<PostOutcome> {
    const startedAtMs = monotonicNowMs();
    const options = { dispatcher: this.#agent, timeoutMs: this.#timeoutMs, signal: this.#stop.signal };
    const outcome = await postSummary(remote, id, summary, options);
    if (outcome.kind !== 'aborted') {
      const durationMs = monotonicNowMs() - startedAtMs;
      this.#onResult({ outcome: outcome.kind, status: outcome.status, durationMs });
    }
    return outcome;
  }

  #putOff(id: string, retryAfterMs: number): void {
    const failureCount = (this.#retries.get(id)?.failureCount ?? 0) + 1;
    this.#retries.set(id, { failureCount, notBeforeMs: monotonicNowMs() + this.#pauseMs(failureCount, retryAfterMs) });
  }

  #pauseMs(failureCount: number, retryAfterMs: number): number {
    const pauseMs = Math.max(retryAfterMs, backoffMs(failureCount, this.#backoff));
    return this.#waitingForEmpty.size > 0 ? Math.min(pauseMs, MAX_PAUSE_IN_FLUSH_MS) : pauseMs;
  }

  #backendFailed(reason: string, retryAfterMs: number): void {
    const nowMs = monotonicNowMs();
    // Those that failed together are one failure.
    if (nowMs < this.#pausedUntilMs) return;
    this.#failureCount += 1;
    if (this.#failureCount === 1) {
      this.#log.warn({ reason, pending: this.pending }, 'W3 backend takes no call summaries: they wait in the store');
    }
    this.#pausedUntilMs = nowMs + this.#pauseMs(this.#failureCount, retryAfterMs);
  }

  #backendAnswered(): void {
    if (this.#failureCount > 0) this.#log.info({ pending: this.pending }, 'W3 backend takes call summaries again');
    this.#failureCount = 0;
    this.#pausedUntilMs = 0;
  }
}

function callIdOf({ body }: OutgoingBody): string {
  return (JSON.parse(body) as { callId: string }).callId;
}
