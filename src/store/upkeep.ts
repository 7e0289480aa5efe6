import { chmodSync, closeSync, existsSync, openSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findDamage, StoreFile } from './database.ts';
import { StoreError, toStoreError } from './errors.ts';
import { History } from './history.ts';
import { Recordings } from './recordings.ts';
import { STORE_FILE } from './store.ts';
import { Undelivered } from './undelivered.ts';

/** A backup that is being made keeps what was removed in the log beside the file for as long as it takes. */
const READER_WAIT_MS = 60_000;

/** What can be done to a store beside a daemon that uses it, from another process. */

export interface Backup {
  readonly byteCount: number;
  readonly callCount: number;
  readonly undeliveredCount: number;
}

/**
 * Copies a store into a new file, whole and as of one moment, while it is written to.
 * @throws {StoreError} when there is no store, when `target` exists, or when the copy is not good
 */
export function backUp(directory: string, target: string): Backup {
  const source = openExisting(directory);
  try {
    // SQLite takes an empty file for no file; created here, it is nobody else's to read.
    closeSync(openSync(target, 'wx', 0o600));
    source.prepare('VACUUM INTO ?').run(target);
    chmodSync(target, 0o600);
    const damage = findDamage(target);
    if (damage !== undefined) throw new StoreError('store_corrupt', `the copy is damaged: ${damage}`);
    const copy = new DatabaseSync(target, { readOnly: true });
    try {
      const { byteCount, ...counts } = { byteCount: statSync(target).size, ...countsOf(copy) };
      return { byteCount, ...counts };
    } finally {
      copy.close();
    }
  } catch (error) {
    const isOurs = (error as NodeJS.ErrnoException).code !== 'EEXIST';
    if (isOurs && existsSync(target)) unlinkSync(target);
    throw toStoreError(error, target);
  } finally {
    source.close();
  }
}

export interface Forgotten {
  readonly callCount: number;
  readonly recordingCount: number;
  /** Of them, or besides: summaries that the backend has not been told. It will not be. */
  readonly undeliveredCount: number;
}

/**
 * Removes everything that is kept of a caller, for good: what was deleted is overwritten.
 * @throws {StoreError} when there is no store, or a daemon writes to it for too long
 */
export function forgetCaller(directory: string, number: string): Forgotten {
  openExisting(directory).close();
  const file = StoreFile.open(join(directory, STORE_FILE));
  try {
    const { database } = file;
    const forgotten = file.transaction(() => ({
      callCount: new History(database).removeCaller(number),
      recordingCount: new Recordings(database, directory).removeCaller(number),
      undeliveredCount: new Undelivered(database).forget(number),
    }));
    if (forgotten.callCount > 0) mergeWords(file);
    file.checkpoint(READER_WAIT_MS);
    return forgotten;
  } finally {
    file.close();
  }
}

/** Pages of the index merged in one transaction: a daemon's write waits for one of them at most. */
const MERGED_PAGES = 128;

/** The words of what was removed stay in the index until its parts are merged into one. */
function mergeWords(file: StoreFile): void {
  const merge = (pages: number) => {
    const before = changesOf(file.database);
    file.transaction(() => file.database.exec(`INSERT INTO words (words, rank) VALUES ('merge', ${pages})`));
    return changesOf(file.database) - before;
  };
  // A negative number begins to merge whatever there is; fewer than two changes say that nothing is left to do.
  merge(-MERGED_PAGES);
  while (merge(MERGED_PAGES) >= 2);
}

function changesOf(database: DatabaseSync): number {
  return database.prepare('SELECT total_changes() AS count').get()?.['count'] as number;
}

function openExisting(directory: string): DatabaseSync {
  const path = join(directory, STORE_FILE);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new StoreError('store_unusable', `there is no store of calls in ${directory}: is DATA_DIR right?`);
  }
  return new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
}

function countsOf(database: DatabaseSync): Omit<Backup, 'byteCount'> {
  return {
    callCount: new History(database).count,
    undeliveredCount: new Undelivered(database).ids().length,
  };
}
