import type { Agent } from 'undici';
import { type BackoffOptions, backoffMs } from '../../backoff.ts';
import { monotonicNowMs } from '../../clock.ts';
import { createAgent } from '../exchange.ts';
import type { BackendLog } from '../log.ts';
import type { W3ApiOptions } from '../w3-api.ts';
import type { SummaryRecord } from './call-summary.ts';
import { JournalError, SummaryJournal, type SummaryJournalOptions } from './summary-journal.ts';
import { type PostOutcome, postSummary } from './summary-outcome.ts';

const MAX_CONCURRENT_POSTS = 4;
const DEFAULT_TIMEOUT_MS = 5_000;
/** Longest pause while someone waits for everything to be sent. */
const MAX_PAUSE_IN_FLUSH_MS = 1_000;
const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 300_000 };

/** One attempt to post a summary, for metrics. */
export interface DeliveryResult {
  readonly outcome: 'delivered' | 'refused' | 'failed';
  /** Absent: there was no answer. */
  readonly status?: number | undefined;
  readonly durationMs: number;
}

export interface SummaryDeliveryOptions extends SummaryJournalOptions {
  /** Absent: the journal is simply the record, and nothing of it is ever sent. */
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
 * Takes summaries to the W3 backend, at least once each and always under the same `Idempotency-Key`, by way of a
 * journal: what was recorded arrives, across restarts, kills and outages of any length within the retention.
 *
 * An attempt that found no backend, or got 408, 425, 429 or 5xx, is repeated with growing pauses (`Retry-After` is
 * heeded); while nothing succeeds, one attempt at a time is made. 409 counts as delivered. Any other status is noted in
 * the journal as refused and logged; when it speaks of the configuration (a redirect, 401, 403, 404), the summary is
 * tried again after the next start.
 */
export class SummaryDelivery {
  readonly #journal: SummaryJournal;
  readonly #remote: W3ApiOptions | undefined;
  readonly #log: BackendLog;
  readonly #onResult: (result: DeliveryResult) => void;
  readonly #timeoutMs: number;
  readonly #backoff: BackoffOptions;
  readonly #agent: Agent = createAgent(MAX_CONCURRENT_POSTS);
  readonly #stop = new AbortController();

  /** Records whose turn it is, in order. */
  readonly #ready = new Set<string>();
  readonly #retries = new Map<string, Retry>();
  readonly #underWay = new Map<string, Promise<void>>();
  /** Failures since the backend last answered sensibly. */
  #failureCount = 0;
  #pausedUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #waitingForEmpty = new Set<() => void>();
  #closing: Promise<void> | undefined;

  private constructor(journal: SummaryJournal, options: SummaryDeliveryOptions) {
    this.#journal = journal;
    this.#remote = options.remote;
    this.#log = options.log;
    this.#onResult = options.onResult ?? (() => {});
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
  }

  /**
   * Opens the journal and starts to send what is left in it.
   * @throws {DirectoryLockedError} when another daemon uses the directory
   * @throws {Error} of the file system
   */
  static async open(options: SummaryDeliveryOptions): Promise<SummaryDelivery> {
    const journal = await SummaryJournal.open(options);
    const { pendingCount: count } = journal;
    const delivery = new SummaryDelivery(journal, options);
    if (options.remote) {
      if (count > 0) options.log.info({ count }, 'call summaries left by an earlier run are being sent');
      for (const id of journal.pending) delivery.#ready.add(id);
      delivery.#pump();
    } else {
      if (count > 0) options.log.warn({ count }, 'call summaries wait for a backend, but W3_API_URL is not set');
      if (options.retentionDays === 0) {
        options.log.warn({}, 'call summaries are not kept: W3_API_URL is not set, and JOURNAL_RETENTION_DAYS is 0');
      }
    }
    return delivery;
  }

  /** Summaries that the backend does not have yet and will be sent. */
  get pending(): number {
    return this.#journal.pendingCount;
  }

  /**
   * Takes a summary; when this resolves, it survives a crash. When the journal cannot be written, the backend is tried
   * once, there and then: this resolves if it takes the summary.
   * @throws {JournalError} when the summary is neither on disk nor with the backend
   */
  async record(record: SummaryRecord): Promise<void> {
    if (this.#closing) throw new JournalError('journal_closed', 'call summaries are no longer taken');
    try {
      await this.#journal.append(record, this.#remote !== undefined);
    } catch (error) {
      const { callId } = record.summary;
      this.#log.error({ err: error, callId, tenantId: record.tenantId }, 'call summary could not be written');
      if (!this.#remote || (await this.#post(this.#remote, record)).kind !== 'delivered') throw error;
      return;
    }
    if (!this.#remote) return;
    this.#ready.add(record.idempotencyKey);
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

  /** Breaks off what is being sent (it will be sent again after the next start), and closes the journal. */
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
    await this.#journal.close();
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
    const record = await this.#journal.read(id);
    if (!record) {
      this.#retries.delete(id);
      await this.#journal.settle(id, { kind: 'refused', status: undefined, isFinal: true });
      return;
    }
    const outcome = await this.#post(remote, record);
    switch (outcome.kind) {
      case 'delivered':
        this.#backendAnswered();
        this.#retries.delete(id);
        await this.#journal.settle(id, { kind: 'delivered' });
        break;
      case 'refused': {
        this.#backendAnswered();
        this.#retries.delete(id);
        const { tenantId, summary } = record;
        const fields = { callId: summary.callId, tenantId, reason: outcome.reason };
        const next = outcome.isFinal ? 'it is not sent again' : 'it is sent again after the next start';
        this.#log.error(fields, `W3 backend refused a call summary: ${next}`);
        await this.#journal.settle(id, { kind: 'refused', status: outcome.status, isFinal: outcome.isFinal });
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

  async #post(remote: W3ApiOptions, record: SummaryRecord): Promise<PostOutcome> {
    const startedAtMs = monotonicNowMs();
    const options = { dispatcher: this.#agent, timeoutMs: this.#timeoutMs, signal: this.#stop.signal };
    const outcome = await postSummary(remote, record, options);
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
      this.#log.warn({ reason, pending: this.pending }, 'W3 backend takes no call summaries: they wait in the journal');
    }
    this.#pausedUntilMs = nowMs + this.#pauseMs(this.#failureCount, retryAfterMs);
  }

  #backendAnswered(): void {
    if (this.#failureCount > 0) this.#log.info({ pending: this.pending }, 'W3 backend takes call summaries again');
    this.#failureCount = 0;
    this.#pausedUntilMs = 0;
  }
}
