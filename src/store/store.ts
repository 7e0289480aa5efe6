import { readdirSync, statSync, unlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type SetAside, StoreFile } from './database.ts';
import { StoreError, toStoreError } from './errors.ts';
import { exportPage } from './export.ts';
import { History } from './history.ts';
import { StoreLock } from './lock.ts';
import { Looks } from './looks.ts';
import { takeOverJournal } from './old-journal.ts';
import { moveAside, oddFiles, prepareDirectory } from './place.ts';
import { Recordings } from './recordings.ts';
import type {
  CallPage,
  CallSearch,
  KeptCall,
  ListedCall,
  Look,
  LookPage,
  LookSearch,
  NumberStyle,
  OutgoingSummary,
  StoreEntry,
  StoreMark,
  UsageQuery,
  UsageRow,
} from './records.ts';
import { Statements } from './statements.ts';
import { Undelivered } from './undelivered.ts';
import { UsageSums } from './usage.ts';

/** The one database, in `DATA_DIR`. */
export const STORE_FILE = 'calls.sqlite';
const LOCK_FILE = 'calls.lock';
const SET_ASIDE = /^calls\.sqlite\.broken-/;
const DAY_MS = 86_400_000;
/** Expired calls removed in one transaction: nobody's write waits long for it. */
const REMOVED_AT_ONCE = 200;
const DEFAULT_RECORDING_RETENTION_DAYS = 30;
/** Files of recordings that no row names are looked for this often: all names are read for it. */
const ORPHAN_INTERVAL_MS = 6 * 3_600_000;

/** Days that it is known who has looked at what was said, whatever becomes of the calls. */
export const LOOKS_KEPT_DAYS = 365;

/** Something an operator is to be told. */
export interface StoreNote {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface StoreOptions {
  /** `DATA_DIR`. Created, mode 0700, if it does not exist. */
  readonly directory: string;
  /** Days that calls stay in the history; 0: there is none. What is not delivered stays whatever its age. */
  readonly retentionDays: number;
  /** Days that recordings are kept; default 30. */
  readonly recordingRetentionDays?: number | undefined;
  readonly note: (note: StoreNote) => void;
  /** The clock, in milliseconds since the epoch; default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

export interface WriteResult {
  /** Entries that can never be written, each with the reason. */
  readonly refused: readonly { readonly id: string; readonly why: string }[];
}

/**
 * The history of calls and the summaries that are to be delivered, in one SQLite file that one daemon uses at a time. All
 * of it is synchronous: it lives on a thread of its own.
 */
export class Store {
  readonly #options: StoreOptions;
  readonly #path: string;
  #lock: StoreLock;
  #file: StoreFile;
  #history: History;
  #undelivered: Undelivered;
  #looks: Looks;
  #recordings: Recordings;
  #orphansLookedForMs = Number.NEGATIVE_INFINITY;
  #usage: UsageSums;
  /** What was in a file that is gone, until there is another one for it. */
  #saved: Salvage | undefined;

  private constructor(options: StoreOptions, lock: StoreLock, file: StoreFile) {
    this.#options = options;
    this.#path = join(options.directory, STORE_FILE);
    this.#lock = lock;
    this.#file = file;
    this.#history = new History(file.database);
    this.#undelivered = new Undelivered(file.database);
    this.#looks = new Looks(file.database);
    this.#recordings = new Recordings(file.database, options.directory);
    this.#usage = new UsageSums(file.database);
  }

  /**
   * Opens the store. A file that is broken is moved aside, and a new one is begun with what can still be read of the
   * summaries in it.
   * @throws {StoreError} `store_locked` when another daemon uses the directory
   */
  static open(options: StoreOptions): Store {
    const { directory, note } = options;
    const now = new Date(options.now?.() ?? Date.now());
    const path = join(directory, STORE_FILE);
    let lock: StoreLock | undefined;
    try {
      prepareDirectory(directory);
      lock = acquireLock(directory);
      const { file, setAside } = StoreFile.openOrBegin(path, now);
      const store = new Store(options, lock, file);
      if (setAside) store.#salvage(setAside);
      store.#noteHolder(now);
      file.transaction(() => store.#recordings.endAll());
      const taken = takeOverJournal(directory, file, store.#keepFromMs);
      if (taken) {
        const { left, ...counts } = taken;
        note({ level: 'info', message: 'the journal of an older version was taken over', fields: counts });
        for (const fields of left) {
          note({
            level: 'warn',
            message: 'a file of the old journal stays where it is: look at it, then remove it',
            fields,
          });
        }
      }
      return store;
    } catch (error) {
      lock?.release();
      throw toStoreError(error, directory);
    }
  }

  /** Ids of the summaries that are to be delivered, the oldest first. */
  undeliveredIds(): string[] {
    return this.#undelivered.ids();
  }

  readSummary(id: string): { readonly tenantId: string; readonly body: string } | undefined {
    return this.#undelivered.read(id);
  }

  /**
   * Writes what has gathered, in one transaction; it is on the disk when this returns.
   * @throws {StoreError} when nothing of it was written
   */
  write(entries: readonly StoreEntry[], marks: readonly StoreMark[]): WriteResult {
    this.#usable();
    try {
      this.#writeAll(entries, marks);
      return { refused: [] };
    } catch (error) {
      if ((error as StoreError).code !== 'store_refused') throw error;
    }
    // One of them cannot be written, whatever the disk: it must not keep out the others.
    const refused: { id: string; why: string }[] = [];
    for (const entry of entries) {
      const why = this.#tryToWrite(entry);
      if (why === undefined) continue;
      const { call: _, ...bare } = entry;
      // Its history may be what cannot be written.
      const isSaved = entry.summary !== undefined && this.#tryToWrite(bare) === undefined;
      if (!isSaved) refused.push({ id: entry.id, why });
      else
        this.#options.note({ level: 'error', message: 'a call has no history', fields: { sessionId: entry.id, why } });
    }
    this.#writeAll([], marks);
    return { refused };
  }

  search(search: CallSearch, numbers: NumberStyle): CallPage {
    return this.#history.search(search, numbers);
  }

  /** @param who sees what was said on the one call that is found; undefined: nobody does */
  find(tenantId: string | undefined, name: string, numbers: NumberStyle, who?: string): KeptCall[] {
    const found = this.#history.find(tenantId, name, numbers);
    if (who !== undefined && found.length === 1) this.noteLooks(found.map((call) => lookAt(call, who, 'call')));
    return found;
  }

  /** Sums of what calls used. */
  usage(query: UsageQuery): UsageRow[] {
    return this.#usage.read(query);
  }

  /** A page of a search as text to be sent on, see {@link exportPage}. @param who sees what was said */
  export(
    search: CallSearch,
    numbers: NumberStyle,
    format: 'csv' | 'jsonl',
    who: string,
  ): { readonly text: string; readonly nextCursor?: number | undefined } {
    const { calls, ...page } = exportPage(this.#history, search, numbers, format);
    this.noteLooks(calls.map((call) => lookAt(call, who, 'export')));
    return page;
  }

  /** @throws {StoreError} when they are not on the disk: nothing is to be shown then */
  noteLooks(looks: readonly Look[]): void {
    this.#usable();
    this.#file.transaction(() => {
      for (const look of looks) this.#looks.add(look, this.#now);
    });
  }

  looks(search: LookSearch): LookPage {
    return this.#looks.search(search);
  }

  /** What is recorded of calls; what changes it belongs into a {@link transaction}. */
  get recordings(): Recordings {
    return this.#recordings;
  }

  /** Runs a change: all of it happens, or nothing. */
  transaction<T>(change: (store: Store) => T): T {
    this.#usable();
    return this.#file.transaction(() => change(this));
  }

  /** Removes a few calls, recordings and looks whose time is up; returns whether there may be more. Empties the log beside the file. */
  sweep(): boolean {
    this.#usable();
    const removed = this.#file.transaction(() => this.#history.removeBefore(this.#keepFromMs, REMOVED_AT_ONCE));
    const looksFromMs = this.#now - LOOKS_KEPT_DAYS * DAY_MS;
    const forgotten = this.#file.transaction(() => this.#looks.removeBefore(looksFromMs, REMOVED_AT_ONCE));
    const isMore = this.#file.transaction(() => this.#usage.sweep(this.#now));
    if (isMore || Math.max(removed, forgotten) === REMOVED_AT_ONCE) return true;
    const recordedFromMs =
      this.#now - (this.#options.recordingRetentionDays ?? DEFAULT_RECORDING_RETENTION_DAYS) * DAY_MS;
    if (this.transaction(() => this.#recordings.removeBefore(recordedFromMs, REMOVED_AT_ONCE)) === REMOVED_AT_ONCE) {
      return true;
    }
    if (this.#now - this.#orphansLookedForMs > ORPHAN_INTERVAL_MS) {
      this.#orphansLookedForMs = this.#now;
      this.#recordings.removeOrphans(this.#now);
    }
    this.#file.checkpoint();
    this.#removeSetAside();
    return false;
  }

  /**
   * Begins a new file, because this one is broken (it is moved aside), or is not where it was any more.
   * @throws {StoreError} when that cannot be: this one stays open, and what is in it can be taken over the next time
   */
  beginAnew(error: StoreError): void {
    const now = new Date(this.#now);
    const old = this.#file;
    const isGone = error.code === 'store_moved';
    // A new file would take the log of the old one for its own.
    if (isGone) this.#saved ??= readUndelivered(old.database);
    prepareDirectory(this.#options.directory);
    if (!this.#lock.isInPlace) {
      const lock = acquireLock(this.#options.directory);
      this.#lock.release();
      this.#lock = lock;
    }
    const aside = isGone ? undefined : { path: moveAside(this.#path, now), why: error.message };
    const { file, setAside } = StoreFile.openOrBegin(this.#path, now);
    this.#file = file;
    this.#history = new History(file.database);
    this.#undelivered = new Undelivered(file.database);
    this.#looks = new Looks(file.database);
    this.#recordings = new Recordings(file.database, this.#options.directory);
    this.#usage = new UsageSums(file.database);
    this.#noteHolder(now);
    if (this.#saved) this.#takeIn(this.#saved, { why: error.message });
    this.#saved = undefined;
    for (const one of [aside, setAside]) if (one) this.#salvage(one);
    old.close();
  }

  get path(): string {
    return this.#path;
  }

  get byteCount(): number {
    return this.#file.byteCount;
  }

  /** Gives the directory free. Idempotent. */
  close(): void {
    this.#file.close();
    this.#lock.release();
  }

  get #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  get #keepFromMs(): number {
    const { retentionDays } = this.#options;
    return retentionDays === 0 ? Number.MAX_SAFE_INTEGER / 2048 : this.#now - retentionDays * DAY_MS;
  }

  #usable(): void {
    if (!this.#file.database.isOpen) throw new StoreError('store_closed', 'the store is closed');
    this.#file.checkPlace();
  }

  #writeAll(entries: readonly StoreEntry[], marks: readonly StoreMark[]): void {
    this.#file.transaction(() => {
      for (const { id, call, usage, summary, summaryState } of entries) {
        if (usage) this.#usage.add(id, usage, this.#now);
        if (call) this.#history.add(id, call, summaryState);
        if (summary) this.#undelivered.add(id, summary);
      }
      for (const { id, mark } of marks) if (this.#undelivered.settle(id, mark)) this.#history.mark(id, mark.kind);
    });
  }

  /** @returns why it can never be written, if that is so */
  #tryToWrite(entry: StoreEntry): string | undefined {
    try {
      this.#writeAll([entry], []);
      return undefined;
    } catch (error) {
      if ((error as StoreError).code !== 'store_refused') throw error;
      return (error as Error).message;
    }
  }

  #noteHolder(at: Date): void {
    const holder = `process ${process.pid} on ${hostname()}, since ${at.toISOString()}`;
    new Statements(this.#file.database).write(
      "INSERT INTO facts VALUES ('holder', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      holder,
    );
  }

  /** Takes over what a broken file still tells of summaries that nobody has yet. */
  #salvage({ path, why }: SetAside): void {
    let source: DatabaseSync | undefined;
    try {
      const [odd] = oddFiles(path);
      // A FIFO is not even opened.
      if (odd !== undefined) throw new Error(`${odd} is no file`);
      source = new DatabaseSync(path, { readOnly: true });
      this.#takeIn(readUndelivered(source), { setAside: path, why });
    } catch (error) {
      this.#takeIn({ summaries: [], problem: (error as Error).message }, { setAside: path, why });
    } finally {
      source?.close();
    }
  }

  #takeIn({ summaries, problem }: Salvage, fields: Readonly<Record<string, unknown>>): void {
    this.#file.transaction(() => {
      for (const [id, summary] of summaries) this.#undelivered.add(id, summary);
    });
    const message =
      fields['setAside'] === undefined
        ? 'the store of calls is gone from DATA_DIR: a new one is begun'
        : 'the store of calls is broken: it was set aside, and a new one is begun';
    const unread = problem === undefined ? {} : { problem };
    this.#options.note({ level: 'error', message, fields: { ...fields, savedSummaries: summaries.length, ...unread } });
  }

  /** A broken file holds what was said as much as a good one. */
  #removeSetAside(): void {
    const { directory, retentionDays } = this.#options;
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (!SET_ASIDE.test(name)) continue;
      const ageMs = this.#now - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? this.#now);
      if (ageMs > Math.max(1, retentionDays) * DAY_MS) unlinkSync(path);
    }
  }
}

function lookAt({ tenantId, sessionId, callId }: ListedCall, who: string, what: Look['what']): Look {
  return { who, what, tenantId, sessionId, callId };
}

interface Salvage {
  readonly summaries: readonly (readonly [id: string, summary: OutgoingSummary])[];
  /** Why there may be more. */
  readonly problem?: string;
}

function readUndelivered(source: DatabaseSync): Salvage {
  const summaries: [string, OutgoingSummary][] = [];
  try {
    const rows = source.prepare('SELECT id, tenant_id, summary FROM undelivered ORDER BY number').iterate();
    for (const row of rows as Iterable<{ id: string; tenant_id: string; summary: string }>) {
      const { callerNumber = null } = JSON.parse(row.summary) as { callerNumber?: string | null };
      summaries.push([row.id, { tenantId: row.tenant_id, callerNumber, body: row.summary }]);
    }
  } catch (error) {
    return { summaries, problem: (error as Error).message };
  }
  return { summaries };
}

function acquireLock(directory: string): StoreLock {
  try {
    return StoreLock.acquire(join(directory, LOCK_FILE));
  } catch (cause) {
    if ((cause as StoreError).code !== 'store_locked') throw cause;
    const holder = holderOf(join(directory, STORE_FILE));
    throw new StoreError(
      'store_locked',
      `DATA_DIR is used by another daemon${holder ? ` (${holder})` : ''}: two cannot share one. Stop it, or set another DATA_DIR`,
      { cause },
    );
  }
}

/** Who has the lock, as far as it has said so. */
function holderOf(path: string): string | undefined {
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return database.prepare("SELECT value FROM facts WHERE name = 'holder'").get()?.['value'] as string | undefined;
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}
