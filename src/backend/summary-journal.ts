import { chmod, type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { SummaryRecord } from './call-summary.ts';
import { DirectoryLock } from './directory-lock.ts';
import {
  dayOf,
  type JournalFile,
  journalFile,
  listJournalFiles,
  readCheckpoint,
  removeFiles,
  splitLines,
  syncDirectory,
  writeCheckpoint,
} from './journal-files.ts';
import { markLine, parseLine, recordLine, type SummaryMark } from './journal-line.ts';
import type { BackendLog } from './log.ts';

const SUBDIRECTORY = 'summaries';
const LOCK_FILE = 'lock';
const DEFAULT_MAX_FILE_BYTES = 16 * 1024 * 1024;
const SWEEP_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

export interface SummaryJournalOptions {
  /** `DATA_DIR`; the journal is in `summaries/` in it. Created, mode 0700, if it does not exist. */
  readonly directory: string;
  /** Whole files go when all of their records are older; 0: records go once they are delivered. */
  readonly retentionDays: number;
  readonly log: BackendLog;
  /** A new file is begun past this; default 16 MiB. */
  readonly maxFileBytes?: number | undefined;
  /** The clock, in milliseconds since the epoch; default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** The journal cannot take what it was given. */
export class JournalError extends Error {
  readonly code: 'journal_closed' | 'journal_write_failed';
  constructor(code: JournalError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'JournalError';
    this.code = code;
  }
}

/** A record that is still to be delivered, and where it is. */
interface Place {
  readonly file: JournalFile;
  readonly offset: number;
  readonly byteCount: number;
}

interface Write {
  readonly line: Buffer;
  /** Set for records: their id and whether they are to be delivered. */
  readonly record?: { readonly id: string; readonly isForBackend: boolean };
  readonly done: () => void;
  readonly failed: (error: JournalError) => void;
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
  readonly #maxFileBytes: number;
  readonly #log: BackendLog;
  readonly #now: () => number;
  #lock: DirectoryLock | undefined;

  /** Oldest first; the last is the one being written while `#handle` is open. */
  #files: JournalFile[] = [];
  #nextNumber = 1;
  #handle: FileHandle | undefined;
  #handleDay = '';
  #byteCount = 0;
  readonly #pending = new Map<string, Place>();
  /** Refused because of the configuration: nothing to do until the next start, but not to be lost either. */
  readonly #parked = new Map<string, Place>();
  /** Records that need not be kept, where none is kept longer than needed. */
  #hasSettled = false;

  #writes: Write[] = [];
  #isFlushScheduled = false;
  /** Everything that touches the files goes one after the other. */
  #lastTask: Promise<unknown> = Promise.resolve();
  #sweepTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: SummaryJournalOptions) {
    this.#directory = join(options.directory, SUBDIRECTORY);
    this.#retentionDays = options.retentionDays;
    this.#maxFileBytes = options.maxFileBytes ?? DEFAULT_MAX_FILE_BYTES;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Opens a journal and finds what was not delivered.
   * @throws {DirectoryLockedError} when another daemon uses it
   * @throws {Error} of the file system
   */
  static async open(options: SummaryJournalOptions): Promise<SummaryJournal> {
    const journal = new SummaryJournal(options);
    await mkdir(journal.#directory, { recursive: true, mode: 0o700 });
    // It may have been there with more rights. The directory around it may be anyone's, and is left alone.
    await chmod(journal.#directory, 0o700);
    journal.#lock = await DirectoryLock.acquire(join(journal.#directory, LOCK_FILE));
    try {
      await journal.#recover();
      await journal.#clean();
    } catch (error) {
      await journal.#lock.release();
      throw error;
    }
    journal.#sweepTimer = setInterval(() => {
      journal.sweep().catch((err) => journal.#log.error({ err }, 'journal of call summaries cannot be cleaned up'));
    }, SWEEP_INTERVAL_MS);
    journal.#sweepTimer.unref();
    return journal;
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
    return this.#write(line, { id: record.idempotencyKey, isForBackend });
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

  /** A pending record, as it was written; undefined when it is not pending or can no longer be read. */
  read(id: string): Promise<SummaryRecord | undefined> {
    return this.#exclusively(async () => {
      const place = this.#pending.get(id);
      return place && this.#readPlace(id, place);
    });
  }

  /** Begins a new file on a new day, and removes what need not be kept any longer. Runs by itself every minute. */
  sweep(): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#handle && this.#handleDay !== dayOf(this.#now())) await this.#endFile();
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
        await this.#endFile();
        await this.#clean();
      });
    } finally {
      await this.#lock?.release();
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

  /** Writes what has gathered since the last time, with one sync for all of it. */
  async #flush(): Promise<void> {
    this.#isFlushScheduled = false;
    const writes = this.#writes;
    this.#writes = [];
    if (writes.length === 0) return;
    try {
      const handle = await this.#writableFile();
      const file = this.#files.at(-1)!;
      await handle.appendFile(Buffer.concat(writes.map(({ line }) => line)));
      // A mark that is lost costs one request with a key the backend knows: not worth a sync.
      if (writes.some(({ record }) => record)) await handle.datasync();
      for (const { line, record, done } of writes) {
        if (record?.isForBackend) {
          this.#pending.set(record.id, { file, offset: this.#byteCount, byteCount: line.length - 1 });
        }
        this.#byteCount += line.length;
        done();
      }
    } catch (cause) {
      await this.#dropTornWrite();
      const error = new JournalError(
        'journal_write_failed',
        `call summaries cannot be written to ${this.#directory}: ${(cause as Error).message}`,
        { cause },
      );
      for (const { failed } of writes) failed(error);
      return;
    }
    if (this.#retentionDays === 0 && this.#pending.size === 0 && this.#hasSettled) await this.#cleanOrWarn();
  }

  async #writableFile(): Promise<FileHandle> {
    const nowMs = this.#now();
    if (this.#handle && (this.#handleDay !== dayOf(nowMs) || this.#byteCount >= this.#maxFileBytes)) {
      await this.#endFile();
    }
    if (!this.#handle) {
      const file = journalFile(nowMs, this.#nextNumber);
      this.#handle = await open(join(this.#directory, file.name), 'ax', 0o600);
      this.#nextNumber += 1;
      this.#files.push(file);
      this.#handleDay = dayOf(nowMs);
      this.#byteCount = 0;
      await syncDirectory(this.#directory);
    }
    return this.#handle;
  }

  /** After a failed write a part of it may be in the file: what follows must not be appended to that. */
  async #dropTornWrite(): Promise<void> {
    try {
      await this.#handle?.truncate(this.#byteCount);
    } catch {
      await this.#endFile();
    }
  }

  async #endFile(): Promise<void> {
    const handle = this.#handle;
    if (!handle) return;
    this.#handle = undefined;
    await handle.close();
    const places = [...this.#pending.values(), ...this.#parked.values()];
    const oldest = places.reduce((number, { file }) => Math.min(number, file.number), this.#nextNumber);
    await writeCheckpoint(this.#directory, oldest).catch((err) => {
      this.#log.warn({ err }, 'the next start will read the whole journal of call summaries');
    });
  }

  async #readPlace(id: string, { file, offset, byteCount }: Place): Promise<SummaryRecord | undefined> {
    try {
      await using handle = await open(join(this.#directory, file.name), 'r');
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(byteCount), 0, byteCount, offset);
      const line = parseLine(buffer.toString('utf8', 0, bytesRead));
      if (line?.kind === 'record' && line.record.idempotencyKey === id) return line.record;
      this.#log.error({ file: file.name, offset }, 'call summary is damaged and cannot be delivered');
    } catch (err) {
      this.#log.error({ err, file: file.name }, 'call summary cannot be read');
    }
    return undefined;
  }

  async #recover(): Promise<void> {
    this.#files = await listJournalFiles(this.#directory);
    this.#nextNumber = (this.#files.at(-1)?.number ?? 0) + 1;
    const checkpoint = await readCheckpoint(this.#directory);
    for (const file of this.#files) {
      if (file.number >= checkpoint) await this.#recoverFile(file);
      else this.#hasSettled = true;
    }
  }

  async #recoverFile(file: JournalFile): Promise<void> {
    const content = await readFile(join(this.#directory, file.name));
    for (const { text, offset, byteCount, isWhole } of splitLines(content)) {
      const line = parseLine(text);
      if (!line) {
        const what = isWhole ? 'a damaged line was skipped' : 'a line torn by a crash was skipped';
        this.#log.warn({ file: file.name, offset, byteCount }, `journal of call summaries: ${what}`);
      } else if (line.kind === 'record') {
        if (line.isForBackend) this.#pending.set(line.record.idempotencyKey, { file, offset, byteCount });
        else this.#hasSettled = true;
      } else if (line.mark.kind === 'delivered' || line.mark.isFinal) {
        this.#pending.delete(line.id);
        this.#hasSettled = true;
      }
    }
  }

  async #cleanOrWarn(): Promise<void> {
    try {
      await this.#clean();
    } catch (err) {
      this.#log.error({ err }, 'journal of call summaries cannot be cleaned up');
    }
  }

  async #clean(): Promise<void> {
    if (this.#retentionDays === 0) await this.#removeSettled();
    else await this.#removeExpired();
  }

  async #removeExpired(): Promise<void> {
    const isExpired = ({ dayEndMs }: JournalFile) => dayEndMs + this.#retentionDays * DAY_MS <= this.#now();
    // The file being written is ended first, by the day it is of.
    const expired = this.#files.filter((file) => isExpired(file) && !(this.#handle && file === this.#files.at(-1)));
    if (expired.length === 0) return;
    let lostCount = 0;
    for (const places of [this.#pending, this.#parked]) {
      for (const [id, { file }] of places) if (expired.includes(file) && places.delete(id)) lostCount += 1;
    }
    if (lostCount > 0) {
      this.#log.error({ count: lostCount }, 'call summaries were never delivered and are removed: their time is up');
    }
    await removeFiles(this.#directory, expired);
    this.#files = this.#files.filter((file) => !expired.includes(file));
  }

  /** Leaves nothing but what is still to be delivered: the files are replaced by one that has only that. */
  async #removeSettled(): Promise<void> {
    if (!this.#hasSettled || this.#writes.length > 0) return;
    await this.#endFile();
    const old = this.#files;
    const moved: [Map<string, Place>, string, Place][] = [];
    let kept: JournalFile[] = [];
    if (this.#pending.size + this.#parked.size > 0) {
      const file = journalFile(this.#now(), this.#nextNumber++);
      const temporary = join(this.#directory, `${file.name}.tmp`);
      await using handle = await open(temporary, 'w', 0o600);
      let offset = 0;
      for (const places of [this.#parked, this.#pending]) {
        for (const [id, place] of places) {
          const record = await this.#readPlace(id, place);
          if (!record) continue;
          const line = recordLine(record, true, new Date(this.#now()));
          await handle.appendFile(line);
          moved.push([places, id, { file, offset, byteCount: line.length - 1 }]);
          offset += line.length;
        }
      }
      await handle.datasync();
      await rename(temporary, join(this.#directory, file.name));
      await syncDirectory(this.#directory);
      kept = [file];
    }
    for (const [places, id, place] of moved) places.set(id, place);
    this.#files = [...old, ...kept];
    // Oldest first: a record must not outlive the mark that says it was delivered.
    await removeFiles(this.#directory, old);
    this.#files = kept;
    this.#hasSettled = false;
  }
}
