import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreError, toStoreError } from './errors.ts';
import { preparePlace } from './place.ts';

const ATTEMPTS = 20;
const ATTEMPT_MS = 50;

/**
 * Keeps a directory to one daemon: a transaction on a file of its own that lasts as long as its holder. The lock is the
 * operating system's. It goes with the process however that ends, and holds between containers that share the
 * directory on one machine.
 */
export class StoreLock {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #inode: number;

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.#database = database;
    this.#inode = statSync(path).ino;
  }

  /** Whether others who want the directory find this lock: whoever removed the directory has removed its file. */
  get isInPlace(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  /**
   * @param path of the lock file, in an existing directory
   * @throws {StoreError} `store_locked` when another daemon holds it
   */
  static acquire(path: string): StoreLock {
    preparePlace(path);
    const database = new DatabaseSync(path);
    try {
      database.exec(`PRAGMA busy_timeout = ${ATTEMPT_MS}`);
      for (let attempt = 1; ; attempt++) {
        try {
          database.exec('BEGIN EXCLUSIVE');
          return new StoreLock(path, database);
        } catch (cause) {
          const error = toStoreError(cause, 'the lock');
          if (error.code !== 'store_busy') throw error;
          // Those that come at the same moment may all have failed because of each other: one of them is to win.
          if (attempt === ATTEMPTS) throw new StoreError('store_locked', 'another daemon has it', { cause });
        }
      }
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Gives the directory free. Repeated calls do nothing. */
  release(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
