import { chmodSync, closeSync, existsSync, openSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findDamage, StoreFile } from './database.ts';
import { StoreError, toStoreError } from './errors.ts';
import { History } from './history.ts';
import { STORE_FILE } from './store.ts';
import { Undelivered } from './undelivered.ts';

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
      undeliveredCount: new Undelivered(database).forget(number),
    }));
    // The words of what was removed stay in the index until its parts are merged.
    if (forgotten.callCount > 0) file.transaction(() => database.exec("INSERT INTO words (words) VALUES ('optimize')"));
    file.checkpoint();
    return forgotten;
  } finally {
    file.close();
  }
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
