import { setTimeout as delay } from 'node:timers/promises';
import type { BackendLog } from '../../backend/log.ts';
import { type BackoffOptions, backoffMs } from '../../backoff.ts';
import { BusError, type StatusCode } from '../../bus/index.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { RecordingBatch } from '../../recordings/batch.ts';
import { StoreError, type StoreErrorCode } from '../../store/errors.ts';
import type {
  CallPage,
  CallSearch,
  FoundRecording,
  KeptCall,
  Look,
  LookPage,
  LookSearch,
  NumberStyle,
  StoreEntry,
  StoreMark,
  SummaryMark,
  UsageQuery,
  UsageRow,
} from '../../store/records.ts';
import type { WriteResult } from '../../store/store.ts';
import { Backlog, type BacklogLimits } from './backlog.ts';
import { type StoreClient, StoreThread } from './thread.ts';

const OPEN_TIMEOUT_MS = 60_000;
const WRITE_TIMEOUT_MS = 30_000;
const READ_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** How long whoever ends a call waits for the disk; after that it is told that the call is kept in memory. */
const DURABLE_WAIT_MS = 5_000;
const MAX_BATCH_ENTRIES = 200;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
const MAX_BATCH_MARKS = 1_000;
const MAX_MARKS = 100_000;
/** A mark that is lost costs one request with a key the backend knows: it is written when more have gathered. */
const MARK_DELAY_MS = 250;
const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 15_000 };
const DEFAULT_LIMITS: BacklogLimits = { maxEntries: 20_000, maxBytes: 128 * 1024 * 1024 };
const SIZE_INTERVAL_MS = 15_000;
/** Base64 of recordings that may wait for the disk: several seconds of hundreds of calls. */
const MAX_RECORDING_BYTES = 64 * 1024 * 1024;

/** What an operator is to know of the store, for metrics. */
export interface StoreState {
  /** Whether the disk took what it was last given. */
  readonly isUp: boolean;
  /** Calls that are only in memory. */
  readonly unwritten: number;
  readonly byteCount: number;
}

export interface CallStoreOptions {
  /** `DATA_DIR`. */
  readonly directory: string;
  readonly retentionDays: number;
  /** Absent: the store's default. */
  readonly recordingRetentionDays?: number | undefined;
  /** What recordings leave free on the disk; default 0. */
  readonly recordingMinFreeBytes?: number | undefined;
  readonly log: BackendLog;
  readonly onBusCall?: ((method: string, code: StatusCode, durationMs: number) => void) | undefined;
  /** A write, or an attempt to open the file, failed. */
  readonly onFailure?: (() => void) | undefined;
  readonly backoff?: BackoffOptions | undefined;
  readonly limits?: BacklogLimits | undefined;
}

/** Whoever delivers the summaries. */
export interface StoreListener {
  /** Summaries that the disk has and nobody was told of yet, the oldest first: after a start, or once it can be read. */
  undelivered(ids: readonly string[]): void;
  /** The disk never took it, and there is no room, or no time, to keep it in memory any longer. */
  lost(entry: StoreEntry): void;
}

/** What became of an entry by the time its caller should not wait any longer. */
export type RecordOutcome = 'durable' | 'in_memory';

/** Errors at a start that another configuration would not have. */
const FATAL: ReadonlySet<StoreErrorCode> = new Set(['store_locked', 'store_unusable']);

/**
 * The main thread's side of the store: gathers what is to be written while the disk is busy, keeps it while the disk
 * fails, and tries again until it is taken. Nothing a disk does stops a call.
 */
export class CallStore {
  readonly #options: CallStoreOptions;
  readonly #log: BackendLog;
  readonly #backlog: Backlog;
  #thread: StoreThread | undefined;
  /** Whether the present thread has the file open. */
  #isOpen = false;
  /** Summaries the file had when it was opened. */
  #undelivered: readonly string[] = [];
  #listener: StoreListener | undefined;
  readonly #waiting = new Map<string, PromiseWithResolvers<RecordOutcome>>();
  #marks: StoreMark[] = [];
  #flushing: Promise<void> | undefined;
  #flushTimer: NodeJS.Timeout | undefined;
  #failureCount = 0;
  #byteCount = 0;
  /** Base64 of recordings on its way to the disk. */
  #recordingBytes = 0;
  readonly #recordingWrites = new Set<Promise<void>>();
  readonly #sizeTimer: NodeJS.Timeout;
  #closing: Promise<void> | undefined;

  private constructor(options: CallStoreOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#backlog = new Backlog(options.limits ?? DEFAULT_LIMITS);
    this.#sizeTimer = setInterval(() => void this.#measure(), SIZE_INTERVAL_MS);
    this.#sizeTimer.unref();
  }

  /**
   * Opens the store. A disk that is full or fails is no reason not to start: the store is opened later then.
   * @throws {StoreError} `store_locked` when another daemon uses the directory, `store_unusable` when it cannot be one
   */
  static async open(options: CallStoreOptions): Promise<CallStore> {
    const store = new CallStore(options);
    try {
      await store.#open();
      await store.#measure();
    } catch (error) {
      if (FATAL.has((error as StoreError).code)) {
        await store.close();
        throw error;
      }
      store.#failed(error);
    }
    return store;
  }

  /** Tells from here on what becomes of summaries. */
  listen(listener: StoreListener): void {
    this.#listener = listener;
    listener.undelivered(this.#undelivered);
  }

  get state(): StoreState {
    return { isUp: this.#failureCount === 0, unwritten: this.#backlog.count, byteCount: this.#byteCount };
  }

  /**
   * Takes an entry. Resolves when it is on the disk; when the disk does not take it, or not in time, it stays in memory
   * and is tried again.
   */
  async record(entry: StoreEntry): Promise<RecordOutcome> {
    if (this.#closing) throw new StoreError('store_closed', 'calls are no longer recorded');
    const waiting = Promise.withResolvers<RecordOutcome>();
    this.#waiting.set(entry.id, waiting);
    for (const evicted of this.#backlog.add(entry)) this.#lose(evicted);
    const timer = setTimeout(() => waiting.resolve('in_memory'), DURABLE_WAIT_MS);
    // While the disk fails, nobody is kept waiting to hear it again.
    if (this.#failureCount > 0) waiting.resolve('in_memory');
    else this.#flush();
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(entry.id);
    }
  }

  /** Notes what became of a summary; should the note not reach the disk, it is undelivered again after a restart. */
  settle(id: string, mark: SummaryMark): void {
    this.#backlog.settle(id, mark);
    if (this.#marks.length >= MAX_MARKS) this.#marks.shift();
    this.#marks.push({ id, mark });
    if (this.#failureCount === 0) this.#flushSoon(MARK_DELAY_MS);
  }

  /**
   * A summary that is to be delivered.
   * @returns undefined when nobody has it any more; an empty body when its caller was forgotten
   * @throws {BusError} when the disk cannot be asked
   */
  async readSummary(id: string): Promise<{ readonly tenantId: string; readonly body: string } | undefined> {
    const { summary } = this.#backlog.get(id) ?? {};
    if (summary) return summary;
    return this.#client.readSummary({ id }, { timeoutMs: READ_TIMEOUT_MS });
  }

  search(search: CallSearch, numbers: NumberStyle): Promise<CallPage> {
    return this.#ask((client) => client.search({ search, numbers }, { timeoutMs: READ_TIMEOUT_MS }));
  }

  find(tenantId: string | undefined, name: string, numbers: NumberStyle, who?: string): Promise<readonly KeptCall[]> {
    return this.#ask((client) => client.find({ tenantId, name, numbers, who }, { timeoutMs: READ_TIMEOUT_MS }));
  }

  exportPage(
    search: CallSearch,
    numbers: NumberStyle,
    format: 'csv' | 'jsonl',
    who: string,
  ): Promise<{ readonly text: string; readonly nextCursor?: number | undefined }> {
    return this.#ask((client) => client.export({ search, numbers, format, who }, { timeoutMs: READ_TIMEOUT_MS }));
  }

  noteLooks(looks: readonly Look[]): Promise<void> {
    return this.#ask((client) => client.noteLooks({ looks }, { timeoutMs: READ_TIMEOUT_MS }));
  }

  looks(search: LookSearch): Promise<LookPage> {
    return this.#ask((client) => client.looks(search, { timeoutMs: READ_TIMEOUT_MS }));
  }

  /**
   * Writes what has gathered of a recording. Nothing of it is kept here: what the disk does not take, or not in time, is
   * lost, and the recording is over.
   * @throws {StoreError}
   */
  async writeRecording(batch: RecordingBatch): Promise<void> {
    const byteCount = batch.pieces.reduce((sum, { base64 }) => sum + base64.length, 0);
    if (this.#recordingBytes + byteCount > MAX_RECORDING_BYTES) {
      throw new StoreError('store_busy', 'the disk is slower than what is recorded');
    }
    this.#recordingBytes += byteCount;
    const write = this.#ask((client) => client.record(batch, { timeoutMs: WRITE_TIMEOUT_MS })).finally(() => {
      this.#recordingBytes -= byteCount;
      this.#recordingWrites.delete(write);
    });
    this.#recordingWrites.add(write);
    await write;
  }

  findRecording(tenantId: string | undefined, name: string): Promise<readonly FoundRecording[]> {
    return this.#ask((client) => client.findRecording({ tenantId, name }, { timeoutMs: READ_TIMEOUT_MS }));
  }

  /** Sums of what calls used, a row a group. */
  usage(query: UsageQuery): Promise<readonly UsageRow[]> {
    return this.#ask((client) => client.usage(query, { timeoutMs: READ_TIMEOUT_MS }));
  }

  /** Ends the store's thread at once, as a crash would: for drills and tests. Another one takes its place. */
  terminateThread(): Promise<void> {
    return this.#thread?.close() ?? Promise.resolve();
  }

  /** Writes what can be written, and gives the directory free. What only memory had is lost, which is said. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#sizeTimer);
    clearTimeout(this.#flushTimer);
    const written = Promise.allSettled([this.#flushing, ...this.#recordingWrites]);
    await Promise.race([written, delay(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    const endsAtMs = monotonicNowMs() + CLOSE_TIMEOUT_MS;
    while (this.#hasWork && monotonicNowMs() < endsAtMs) {
      if (!(await this.#writeBatch(CLOSE_TIMEOUT_MS))) break;
    }
    for (const waiting of this.#waiting.values()) waiting.resolve('in_memory');
    for (const entry of this.#backlog.clear()) this.#lose(entry);
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.client.close(undefined, { timeoutMs: CLOSE_TIMEOUT_MS }).catch(() => {});
    await thread?.close();
  }

  get #hasWork(): boolean {
    return this.#backlog.count > 0 || this.#marks.length > 0;
  }

  get #client(): StoreClient {
    if (!this.#thread || !this.#isOpen) throw new StoreError('store_closed', 'the store is not open');
    return this.#thread.client;
  }

  async #ask<T>(call: (client: StoreClient) => Promise<T>): Promise<T> {
    try {
      return await call(this.#client);
    } catch (cause) {
      throw ourError(cause);
    }
  }

  async #open(): Promise<void> {
    if (!this.#thread) {
      const thread = new StoreThread({
        onNote: ({ level, message, fields }) => this.#log[level](fields, message),
        onBusCall: this.#options.onBusCall,
        onExit: (error) => this.#threadEnded(thread, error),
      });
      this.#thread = thread;
    }
    const { directory, retentionDays, recordingRetentionDays, recordingMinFreeBytes } = this.#options;
    const request = { directory, retentionDays, recordingRetentionDays, recordingMinFreeBytes };
    try {
      const opened = await this.#thread.client.open(request, { timeoutMs: OPEN_TIMEOUT_MS });
      this.#isOpen = true;
      // What is settled may still be on its way to the disk.
      const settled = new Set(this.#marks.map(({ id }) => id));
      this.#undelivered = opened.undelivered.filter((id) => !settled.has(id));
      this.#listener?.undelivered(this.#undelivered);
    } catch (cause) {
      throw ourError(cause);
    }
  }

  #threadEnded(thread: StoreThread, error: Error): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    this.#isOpen = false;
    if (this.#closing) return;
    this.#log.error({ err: error }, "the store's thread died: another one takes its place");
    this.#failed(error);
  }

  #flushSoon(delayMs: number): void {
    if (this.#closing || this.#flushTimer) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      this.#flush();
    }, delayMs);
    this.#flushTimer.unref();
  }

  /** Writes everything there is, a batch after the other; one at a time, so that the next gathers meanwhile. */
  #flush(): void {
    if (this.#flushing || this.#closing) return;
    this.#flushing = this.#writeAll().finally(() => {
      this.#flushing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    // What is recorded in this turn of the event loop is one batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (!this.#closing && (this.#hasWork || !this.#isOpen)) if (!(await this.#writeBatch(WRITE_TIMEOUT_MS))) return;
  }

  /** @returns whether it was taken */
  async #writeBatch(timeoutMs: number): Promise<boolean> {
    const entries = this.#backlog.batch(MAX_BATCH_ENTRIES, MAX_BATCH_BYTES);
    const marks = this.#marks.slice(0, MAX_BATCH_MARKS);
    try {
      if (!this.#isOpen) await this.#open();
      const result = await this.#client.write({ entries, marks }, { timeoutMs });
      this.#written(entries, marks, result);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #written(entries: readonly StoreEntry[], marks: readonly StoreMark[], { refused }: WriteResult): void {
    for (const { id, why } of refused) this.#log.error({ sessionId: id, why }, 'a call cannot be recorded');
    const refusedIds = new Set(refused.map(({ id }) => id));
    for (const entry of entries) {
      // One that was settled in the meantime is on the disk too, and the mark is still to be written.
      this.#backlog.delete(entry.id);
      if (refusedIds.has(entry.id)) this.#lose(entry);
      this.#waiting.get(entry.id)?.resolve(refusedIds.has(entry.id) ? 'in_memory' : 'durable');
    }
    const written = new Set(marks);
    this.#marks = this.#marks.filter((mark) => !written.has(mark));
    if (this.#failureCount === 0) return;
    this.#failureCount = 0;
    this.#log.info({ unwritten: this.#backlog.count }, 'the store of calls can be written again');
  }

  #failed(error: unknown): void {
    const { message, code } = ourError(error);
    if (code === 'store_closed' && this.#thread) this.#isOpen = false;
    this.#options.onFailure?.();
    this.#failureCount += 1;
    if (this.#failureCount === 1) {
      this.#log.error(
        { code, why: message, unwritten: this.#backlog.count },
        'the store of calls cannot be written: calls go on, and are kept in memory until it can',
      );
    }
    for (const waiting of this.#waiting.values()) waiting.resolve('in_memory');
    this.#flushSoon(backoffMs(this.#failureCount, this.#options.backoff ?? DEFAULT_BACKOFF));
  }

  #lose(entry: StoreEntry): void {
    this.#waiting.get(entry.id)?.resolve('in_memory');
    this.#listener?.lost(entry);
  }

  async #measure(): Promise<void> {
    if (!this.#isOpen || this.#failureCount > 0) return;
    const size = await this.#thread?.client.size(undefined, { timeoutMs: READ_TIMEOUT_MS }).catch(() => undefined);
    if (size) this.#byteCount = size.byteCount;
  }
}

function ourError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { details, message } = error as { details?: unknown; message: string };
  const isCode = error instanceof BusError && typeof details === 'string';
  return new StoreError(isCode ? (details as StoreErrorCode) : 'disk_failed', message, { cause: error });
}
