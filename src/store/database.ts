import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreError, toStoreError } from './errors.ts';
import { moveAside, oddFiles, preparePlace } from './place.ts';
import { migrate } from './schema.ts';

/** How long another process's write (a backup, someone who is forgotten) is waited for. */
const BUSY_MS = 5_000;

/** The file was no database of ours any more. */
export interface SetAside {
  /** Where it is now. */
  readonly path: string;
  readonly why: string;
}

/** An open database file that knows whether it is still where it was. */
export class StoreFile {
  readonly database: DatabaseSync;
  readonly #path: string;
  readonly #inode: number;

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.database = database;
    this.#inode = statSync(path).ino;
  }

  /**
   * Opens a database, or creates it.
   * @param isNew it need not be looked through
   * @throws {StoreError} `store_corrupt` when it is broken, or no file at all
   */
  static open(path: string): StoreFile {
    const [odd] = oddFiles(path);
    if (odd !== undefined) throw new StoreError('store_corrupt', `${odd} is no file`);
    let database: DatabaseSync | undefined;
    try {
      preparePlace(path);
      database = new DatabaseSync(path, { timeout: BUSY_MS });
      // What is deleted is overwritten: people ask to be forgotten. A commit is on the disk when it returns.
      database.exec(`
        PRAGMA secure_delete = ON;
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA cache_size = -16384;
        PRAGMA temp_store = MEMORY;
      `);
      migrate(database);
      checkEssentials(database);
      return new StoreFile(path, database);
    } catch (error) {
      database?.close();
      throw toStoreError(error, path);
    }
  }

  /** Opens a database; one that is broken is moved aside, and a new one is begun. */
  static openOrBegin(path: string, now: Date): { file: StoreFile; setAside?: SetAside } {
    try {
      return { file: StoreFile.open(path) };
    } catch (error) {
      if ((error as StoreError).code !== 'store_corrupt') throw error;
      const setAside = { path: moveAside(path, now), why: (error as Error).message };
      return { file: StoreFile.open(path), setAside };
    }
  }

  /** @throws {StoreError} `store_moved` when what is written goes where nobody will look for it */
  checkPlace(): void {
    const status = statSync(this.#path, { throwIfNoEntry: false });
    if (status?.ino !== this.#inode) throw new StoreError('store_moved', `${this.#path} was moved or removed`);
  }

  /** Of the file and of what was not moved into it yet. */
  get byteCount(): number {
    return ['', '-wal'].reduce(
      (sum, end) => sum + (statSync(this.#path + end, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  }

  /** Runs a change: all of it happens, or nothing. */
  transaction<T>(change: () => T): T {
    const { database } = this;
    try {
      database.exec('BEGIN IMMEDIATE');
      const result = change();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // A failed disk has ended it already.
      if (database.isOpen && database.isTransaction) database.exec('ROLLBACK');
      throw toStoreError(error, this.#path);
    }
  }

  /** Moves what was written into the file itself, and empties the log beside it. */
  checkpoint(): void {
    this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  close(): void {
    if (this.database.isOpen) this.database.close();
  }
}

/** Looks through what must not be lost. All of a long history would keep a start waiting: {@link findDamage} does that. */
function checkEssentials(database: DatabaseSync): void {
  const rows = ['undelivered', 'taken_over', 'facts', 'sqlite_schema'].flatMap((table) =>
    database.prepare(`PRAGMA quick_check('${table}')`).all(),
  );
  const bad = rows.map((row) => String(Object.values(row)[0])).find((text) => text !== 'ok');
  if (bad !== undefined) throw new StoreError('store_corrupt', bad);
}

/**
 * Looks through a whole database, on a connection of its own that keeps nobody from writing.
 * @returns what is wrong with it, if anything is
 */
export function findDamage(path: string): string | undefined {
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    const rows = database.prepare('PRAGMA quick_check(1)').all();
    const text = rows.map((row) => String(Object.values(row)[0])).join('; ');
    return text === 'ok' ? undefined : text;
  } catch (error) {
    const { code, message } = toStoreError(error, path);
    return code === 'store_corrupt' ? message : undefined;
  } finally {
    database.close();
  }
}
