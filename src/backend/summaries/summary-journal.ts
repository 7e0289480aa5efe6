import { chmod, mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackendLog } from '../log.ts';
import type { SummaryRecord } from './call-summary.ts';
import { DirectoryLock } from './directory-lock.ts';
import {
  type JournalFile,
  journalFile,
  listJournalFiles,
  readCheckpoint,
  removeFiles,
  removeTemporaryFiles,
  syncDirectory,
  TEMPORARY,
  writeCheckpoint,
} from './journal-files.ts';
import { markLine, parseLine, recordLine, type SummaryMark } from './journal-line.ts';
import { type Place, recoverJournal } from './journal-recovery.ts';
import { JournalError, JournalWriter } from './journal-writer.ts';

export { JournalError } from './journal-writer.ts';

const SUBDIRECTORY = 'summaries';
const LOCK_FILE = 'lock';
const DEFAULT_MAX_FILE_BYTES = 16 * 1024 * 1024;
const SWEEP_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

export interface SummaryJournalOptions {
  /** `DATA_DIR`; the journal is in `summaries/` in it. Created, mode 0700, if it does not exist. */
  readonly directory: string;
  /** Whole files go when all of their records are older and none waits to be delivered; 0: records go once they are delivered. */
  readonly retentionDays: number;
  readonly log: BackendLog;
  /** A new file is begun past this; default 16 MiB. */
  readonly maxFileBytes?: number | undefined;
  /** The clock, in milliseconds since the epoch; default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

interface Write {
  readonly line: Buffer;
  /** Set for records; `pendingId` where the record is to be delivered. */
  readonly record?: { readonly pendingId: string | undefined };
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Call summaries on disk: an append-only journal of JSON lines, one for each record and one for what became of it.
 * Records are durable when `append` resolves; those appended at the same time share a sync. A new file is begun for
 * each start, UTC day and 16 MiB. A line torn by a crash is skipped with a warning, and no file is appended to after a
 * restart. Only what is undelivered is kept in memory, as its place. One process uses a journal at a time.
 */
export class SummaryJournal {
  readonly #directory: string;
  readonly #retentionDays: number;
  readonly #log: BackendLog;
  readonly #now: () => number;
  readonly #writer: JournalWriter;
  readonly #lock: DirectoryLock;
  readonly #sweepTimer: NodeJS.Timeout;

  /** Oldest first. */
  #files: JournalFile[];
  #pending = new Map<string, Place>();
  /** Refused because of the configuration: nothing to do until the next start, but not to be lost either. */
  readonly #parked = new Map<string, Place>();
  /** Whether the files have something that is not to be delivered (any longer). */
  #hasSettled = false;

  #writes: Write[] = [];
  #isFlushScheduled = false;
  /** Everything that touches the files goes one after the other. */
  #lastTask: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(directory: string, options: SummaryJournalOptions, lock: DirectoryLock, files: JournalFile[]) {
    this.#directory = directory;
    this.#retentionDays = options.retentionDays;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#lock = lock;
    this.#files = files;
    this.#writer = new JournalWriter({
      directory,
      maxFileBytes: options.maxFileBytes ?? DEFAULT_MAX_FILE_BYTES,
      now: this.#now,
      firstNumber: (files.at(-1)?.number ?? 0) + 1,
    });
    this.#sweepTimer = setInterval(() => {
      this.sweep().catch((err) => this.#log.error({ err }, 'journal of call summaries cannot be cleaned up'));
    }, SWEEP_INTERVAL_MS);
    this.#sweepTimer.unref();
  }

  /**
   * Opens a journal and finds what was not delivered.
   * @throws {DirectoryLockedError} when another daemon uses it
   * @throws {Error} of the file system
   */
  static async open(options: SummaryJournalOptions): Promise<SummaryJournal> {
    const directory = join(options.directory, SUBDIRECTORY);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // It may have been there with more rights. The directory around it may be anyone's, and is left alone.
    await chmod(directory, 0o700);
    const lock = await DirectoryLock.acquire(join(directory, LOCK_FILE));
    let journal: SummaryJournal | undefined;
    try {
      await removeTemporaryFiles(directory);
      journal = new SummaryJournal(directory, options, lock, await listJournalFiles(directory));
      const checkpoint = await readCheckpoint(directory);
      const { pending, hasSettled } = await recoverJournal(directory, journal.#files, checkpoint, options.log);
      journal.#pending = pending;
      journal.#hasSettled = hasSettled;
      await journal.#clean();
      return journal;
    } catch (error) {
      if (journal) clearInterval(journal.#sweepTimer);
      await lock.release();
      throw error;
    }
  }

  /** Idempotency keys of the records that are still to be delivered, oldest first. */
  get pending(): Iterable<string> {
    return this.#pending.keys();
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * Writes a record; resolves when it is durable.
   * @param isForBackend false: it is only kept, and never pending. With `retentionDays` 0 such records are not written
   * @throws {JournalError}
   */
  append(record: SummaryRecord, isForBackend: boolean): Promise<void> {
    if (!isForBackend && this.#retentionDays === 0) return Promise.resolve();
    const line = recordLine(record, isForBackend, new Date(this.#now()));
    return this.#write(line, { pendingId: isForBackend ? record.idempotencyKey : undefined });
  }

  /**
   * Notes what became of a record; it is no longer pending from here on. Should the note not reach the disk, the
   * record is pending again after a restart.
   */
  async settle(id: string, mark: SummaryMark): Promise<void> {
    const place = this.#pending.get(id);
    if (!place) return;
    this.#pending.delete(id);
    if (mark.kind === 'refused' && !mark.isFinal) this.#parked.set(id, place);
    else this.#hasSettled = true;
    try {
      await this.#write(markLine(id, mark, new Date(this.#now())));
    } catch (err) {
      this.#log.warn({ err }, 'delivery of a call summary could not be noted: it may be sent again after a restart');
    }
  }

  /**
   * A pending record, as it was written; undefined when it is not pending, or damaged.
   * @throws {Error} of the file system
   */
  read(id: string): Promise<SummaryRecord | undefined> {
    return this.#exclusively(async () => {
      const place = this.#pending.get(id);
      return place && this.#readPlace(id, place);
    });
  }

  /** Ends the file of a day that is over, and removes what need not be kept any longer. Runs by itself every minute. */
  sweep(): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#closing) return;
      if (this.#writer.isOfPastDay) await this.#writer.endFile();
      await this.#clean();
    });
  }

  /** Waits for what is being written, and gives the directory free. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweepTimer);
    try {
      await this.#exclusively(async () => {
        await this.#flush();
        await this.#writer.endFile();
        await this.#noteCheckpoint();
        await this.#clean();
      });
    } finally {
      await this.#lock.release();
    }
  }

  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#lastTask.then(task);
    this.#lastTask = run.catch(() => {});
    return run;
  }

  #write(line: Buffer, record?: Write['record']): Promise<void> {
    if (this.#closing) return Promise.reject(new JournalError('journal_closed', 'the journal is closed'));
    const { promise, resolve: done, reject: failed } = Promise.withResolvers<void>();
    this.#writes.push({ line, done, failed, ...(record ? { record } : {}) });
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      void this.#exclusively(() => this.#flush());
    }
    return promise;
  }

  /** Writes what has gathered since the last time, with one sync for all of it. Never rejects. */
  async #flush(): Promise<void> {
    this.#isFlushScheduled = false;
    const writes = this.#writes;
    this.#writes = [];
    if (writes.length === 0) return;
    try {
      // A mark that is lost costs one request with a key the backend knows: not worth a sync.
      const isDurable = writes.some(({ record }) => record);
      const { file, offset } = await this.#writer.write(Buffer.concat(writes.map(({ line }) => line)), isDurable);
      this.#register(writes, file, offset);
      if (this.#files.at(-1) !== file) {
        this.#files.push(file);
        await this.#noteCheckpoint();
      }
    } catch (error) {
      for (const { failed } of writes) failed(error);
      return;
    }
    for (const { done } of writes) done();
    if (this.#retentionDays !== 0 || this.#pending.size > 0) return;
    await this.#clean().catch((err) => this.#log.error({ err }, 'journal of call summaries cannot be cleaned up'));
  }

  #register(writes: readonly Write[], file: JournalFile, firstOffset: number): void {
    let offset = firstOffset;
    for (const { line, record } of writes) {
      const id = record?.pendingId;
      if (id !== undefined) this.#pending.set(id, { file, offset, byteCount: line.length - 1 });
      offset += line.length;
    }
  }

  async #noteCheckpoint(): Promise<void> {
    const newest = this.#files.at(-1)?.number ?? 0;
    const places = [...this.#pending.values(), ...this.#parked.values()];
    const oldest = places.reduce((number, { file }) => Math.min(number, file.number), newest);
    await writeCheckpoint(this.#directory, oldest).catch((err) => {
      this.#log.warn({ err }, 'the next start will read more of the journal of call summaries than it needs to');
    });
  }

  async #readPlace(id: string, { file, offset, byteCount }: Place): Promise<SummaryRecord | undefined> {
    await using handle = await open(join(this.#directory, file.name), 'r');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(byteCount), 0, byteCount, offset);
    const line = parseLine(buffer.toString('utf8', 0, bytesRead));
    if (line?.kind === 'record' && line.record.idempotencyKey === id) return line.record;
    this.#log.error({ file: file.name, offset }, 'call summary is damaged: it is no longer what was written');
    return undefined;
  }

  async #clean(): Promise<void> {
    if (this.#retentionDays > 0) await this.#removeExpired();
    // What is about to be written belongs to what would be removed.
    else if (this.#hasSettled && this.#writes.length === 0) await this.#removeSettled();
  }

  async #removeExpired(): Promise<void> {
    const keepMs = this.#retentionDays * DAY_MS;
    // What was never delivered is kept however old it is, or a clock that steps forward would lose it; and with it all
    // that was written since, where it says what became of the records beside it.
    const kept = [...this.#pending.values(), ...this.#parked.values()].map(({ file }) => file.number);
    const oldestKept = Math.min(...kept);
    const expired = this.#files.filter(
      (file) => file !== this.#writer.file && file.number < oldestKept && file.dayEndMs + keepMs <= this.#now(),
    );
    if (expired.length === 0) return;
    await removeFiles(this.#directory, expired);
    this.#files = this.#files.filter((file) => !expired.includes(file));
  }

  /** Leaves nothing but what is still to be delivered: a file that has only that takes the place of all others. */
  async #removeSettled(): Promise<void> {
    await this.#writer.endFile();
    const old = this.#files;
    const kept = this.#pending.size + this.#parked.size > 0 ? [await this.#copyPending()] : [];
    this.#files = [...old, ...kept];
    // Oldest first: a record must not outlive the mark that says it was delivered.
    await removeFiles(this.#directory, old);
    this.#files = kept;
    this.#hasSettled = false;
  }

  async #copyPending(): Promise<JournalFile> {
    const file = journalFile(this.#now(), this.#writer.takeNumber());
    const path = join(this.#directory, file.name);
    const moved: (() => void)[] = [];
    {
      await using handle = await open(path + TEMPORARY, 'wx', 0o600);
      let offset = 0;
      for (const places of [this.#parked, this.#pending]) {
        for (const [id, place] of places) {
          const record = await this.#readPlace(id, place);
          if (!record) throw new Error('a call summary that is to be kept is damaged: nothing is removed');
          const line = recordLine(record, true, new Date(this.#now()));
          await handle.appendFile(line);
          const to = { file, offset, byteCount: line.length - 1 };
          moved.push(() => places.set(id, to));
          offset += line.length;
        }
      }
      await handle.datasync();
    }
    await rename(path + TEMPORARY, path);
    await syncDirectory(this.#directory);
    for (const move of moved) move();
    return file;
  }
}
