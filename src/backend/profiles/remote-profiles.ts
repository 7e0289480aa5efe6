import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Agent } from 'undici';
import { monotonicNowMs } from '../../clock.ts';
import { createAgent, ExchangeError, exchange } from '../exchange.ts';
import type { BackendLog } from '../log.ts';
import { type W3ApiOptions, w3Headers, w3Url } from '../w3-api.ts';
import { type RemoteFields, readRemoteAnswer } from './remote-answer.ts';

export interface RemoteProfilesOptions extends W3ApiOptions {
  /** Agents without a local profile inherit from this one what they may do; see `mergeRemote`. */
  readonly defaultRef?: string | undefined;
  /** An answer this young is used as it is. Default 60000. */
  readonly freshMs?: number;
  /** An answer up to this old is used while a new one is fetched, or cannot be. Default 3600000. */
  readonly staleMs?: number;
  /** How long "no such agent", or an answer that is of no use, holds. Default 5000. */
  readonly negativeMs?: number;
  /** Longest wait of a call for the backend. Default 2000. */
  readonly waitMs?: number;
  /** After a failure no call waits for the backend until it answered again; it is asked this often. Default 5000. */
  readonly coolDownMs?: number;
  /** Answers kept, the least recently used leaving first. Default 1000. */
  readonly maxEntries?: number;
}

/** A request may go on this long, so that a slow answer at least serves the next call. */
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 16;
const HEADER_VALUE = /^[\x21-\x7e]+$/;
/** The backend as a whole is not well. Any other status, 500 included, is about the agent that was asked for. */
const FAILING_STATUSES = new Set([408, 425, 429, 502, 503, 504]);

interface Entry {
  /** undefined: the backend does not know the agent, or its answers are of no use. */
  readonly fields: RemoteFields | undefined;
  readonly digest: string;
  readonly receivedAtMs: number;
  /** Asked again from then on. */
  readonly renewAtMs: number;
  /** The status or reason, when the last answer was of no use. */
  readonly problem: string | undefined;
}

interface Question {
  readonly key: string;
  readonly ref: string;
  readonly tenantId: string;
}

/**
 * Agent profiles from the W3 backend, cached. Answers are renewed behind the calls that use them; one request is
 * under way for an agent of a tenant; no call waits longer than `waitMs`, and none waits at all while the backend is
 * failing.
 */
export class RemoteProfiles {
  readonly #options: Required<Omit<RemoteProfilesOptions, 'apiKey' | 'defaultRef'>> & W3ApiOptions;
  readonly #log: BackendLog;
  readonly #agent: Agent = createAgent(MAX_CONNECTIONS);
  readonly #stop = new AbortController();
  readonly #entries: LRUCache<string, Entry>;
  readonly #underWay = new Map<string, Promise<void>>();
  /** Runs while the backend is failing, until it is asked again. */
  #probeTimer: NodeJS.Timeout | undefined;
  /** What a call last wanted to know: worth more as a probe than what failed, which may be what makes it fail. */
  #wanted: Question | undefined;
  #isFailing = false;

  /** Whether the backend failed when it was last asked. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  constructor(options: RemoteProfilesOptions, log: BackendLog) {
    this.#options = {
      freshMs: 60_000,
      staleMs: 3_600_000,
      negativeMs: 5_000,
      waitMs: 2_000,
      coolDownMs: 5_000,
      maxEntries: 1_000,
      ...options,
    };
    this.#entries = new LRUCache({ max: this.#options.maxEntries });
    this.#log = log;
  }

  /**
   * What the backend says of an agent; undefined when it does not know it or cannot be asked now. The same object is
   * returned for as long as the backend says the same.
   * @throws the signal's reason
   */
  async get(ref: string, tenantId: string, signal?: AbortSignal): Promise<RemoteFields | undefined> {
    signal?.throwIfAborted();
    // Anything else could not be put into the request; nothing of the sort exists.
    if (!HEADER_VALUE.test(tenantId) || /^\.{1,2}$/.test(ref) || !ref.isWellFormed() || ref === '') return undefined;
    const question = { key: JSON.stringify([tenantId, ref]), ref, tenantId };
    const entry = this.#entries.get(question.key);
    const nowMs = monotonicNowMs();
    if (entry && nowMs < entry.renewAtMs) return entry.fields;
    this.#wanted = question;
    if (entry?.fields && nowMs - entry.receivedAtMs < this.#options.staleMs) {
      if (!this.#isFailing) void this.#ask(question);
      return entry.fields;
    }
    if (this.#isFailing || this.#stop.signal.aborted) return undefined;
    await this.#wait(this.#ask(question), signal);
    return this.#entries.get(question.key)?.fields;
  }

  close(): void {
    this.#stop.abort();
    clearTimeout(this.#probeTimer);
    void this.#agent.destroy();
  }

  async #wait(answer: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const { promise: enough, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#fail('slow');
      resolve();
    }, this.#options.waitMs);
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([answer, enough]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Resolves, always, when the answer is in the cache or there is none. */
  #ask(question: Question): Promise<void> {
    const running = this.#underWay.get(question.key);
    if (running) return running;
    const asked = this.#fetch(question).finally(() => this.#underWay.delete(question.key));
    this.#underWay.set(question.key, asked);
    return asked;
  }

  async #fetch(question: Question): Promise<void> {
    const { ref, tenantId } = question;
    const startedAtMs = monotonicNowMs();
    try {
      const answer = await exchange({
        url: w3Url(this.#options, `/api/ai/agents/${encodeURIComponent(ref)}`),
        method: 'GET',
        headers: w3Headers(this.#options, tenantId),
        timeoutMs: REQUEST_TIMEOUT_MS,
        maxBodyBytes: MAX_ANSWER_BYTES,
        dispatcher: this.#agent,
        signal: this.#stop.signal,
      });
      if (FAILING_STATUSES.has(answer.status)) {
        this.#fail(`status ${answer.status}`);
        return;
      }
      if (answer.status === 200 && answer.unreadable !== undefined) this.#refuse(question, answer.unreadable);
      else if (answer.status === 200) this.#accept(question, answer.text);
      else this.#refuse(question, answer.status === 404 ? 'unknown' : `status ${answer.status}`);
      // An answer that came too late to be of use to a call is no recovery.
      if (monotonicNowMs() - startedAtMs <= this.#options.waitMs) this.#recover();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#fail(error instanceof ExchangeError ? error.code : (error as Error).message);
    }
  }

  #accept(question: Question, text: string): void {
    const digest = createHash('sha256').update(text).digest('base64');
    const before = this.#entries.get(question.key);
    let fields = before?.digest === digest ? before.fields : undefined;
    try {
      fields ??= readRemoteAnswer(text);
    } catch (error) {
      this.#refuse(question, (error as Error).message);
      return;
    }
    const nowMs = monotonicNowMs();
    const renewAtMs = nowMs + this.#options.freshMs;
    this.#entries.set(question.key, { fields, digest, receivedAtMs: nowMs, renewAtMs, problem: undefined });
  }

  /** `unknown`: the agent does not exist, or no longer. After any other refusal an older answer stays in use. */
  #refuse({ key, ref, tenantId }: Question, problem: string): void {
    const before = this.#entries.get(key);
    if (problem !== 'unknown' && problem !== before?.problem) {
      this.#log.warn({ agent: ref, tenantId, problem }, 'W3 backend gave an agent profile that cannot be used');
    }
    const kept = problem === 'unknown' ? undefined : before;
    const nowMs = monotonicNowMs();
    this.#entries.set(key, {
      fields: kept && nowMs - kept.receivedAtMs < this.#options.staleMs ? kept.fields : undefined,
      digest: kept?.digest ?? '',
      receivedAtMs: kept?.receivedAtMs ?? nowMs,
      renewAtMs: nowMs + this.#options.negativeMs,
      problem,
    });
  }

  #fail(problem: string): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#isFailing)
      this.#log.warn({ problem }, 'W3 backend gives no agent profiles: using cached and local ones');
    this.#isFailing = true;
    this.#probeTimer ??= setTimeout(() => {
      this.#probeTimer = undefined;
      void this.#probe();
    }, this.#options.coolDownMs).unref();
  }

  async #probe(): Promise<void> {
    if (this.#wanted) await this.#ask(this.#wanted);
    // An answer that came, but late, is neither a recovery nor a new failure.
    if (this.#isFailing) this.#fail('slow');
  }

  #recover(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
    this.#log.info({}, 'W3 backend gives agent profiles again');
  }
}
