import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';

/** What SQLite keeps beside a database, by the end of its name. */
const COMPANIONS = ['-wal', '-shm', '-journal'];
const PRIVATE_MODE = 0o600;

/** Creates a directory for ourselves. One that exists may be anybody's, and is left as it is. */
export function prepareDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/**
 * Sees to it that a database can be opened there: that the file exists, and is ours alone to read.
 *
 * A file of ours is never opened here: closing it would give up the locks that this process has on it.
 */
export function preparePlace(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if ((statSync(path).mode & 0o777) !== PRIVATE_MODE) chmodSync(path, PRIVATE_MODE);
  }
}

/** Names, at a database's place, of what is no file: opening a FIFO would wait for ever. */
export function oddFiles(path: string): string[] {
  return [path, ...COMPANIONS.map((end) => path + end)].filter((name) => {
    const status = statSync(name, { throwIfNoEntry: false });
    return status ? !status.isFile() : isThere(name);
  });
}

/** Moves a database away, with everything that belongs to it; returns where it is now. */
export function moveAside(path: string, at: Date): string {
  const suffix = `.broken-${at.toISOString().replaceAll(':', '-')}`;
  let aside = path + suffix;
  for (let n = 2; isThere(aside); n++) aside = `${path}${suffix}-${n}`;
  for (const end of ['', ...COMPANIONS]) if (isThere(path + end)) renameSync(path + end, aside + end);
  return aside;
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
