import { open, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FILE_NAME = /^summaries-(\d{4}-\d{2}-\d{2})-(\d{8})\.jsonl$/;
const CHECKPOINT = 'checkpoint';
/** Ends the names of files that are being made and do not count yet. */
export const TEMPORARY = '.tmp';
const DAY_MS = 86_400_000;

/** A file of a journal. */
export interface JournalFile {
  readonly name: string;
  /** Rises by one from file to file. */
  readonly number: number;
  /** UTC, `YYYY-MM-DD`. */
  readonly day: string;
  /** Milliseconds since the epoch at which the last of its records is at least this old: the end of its UTC day. */
  readonly dayEndMs: number;
}

/** The day of a moment, UTC, as file names have it. */
export function dayOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

export function journalFile(timeMs: number, number: number): JournalFile {
  const day = dayOf(timeMs);
  const name = `summaries-${day}-${String(number).padStart(8, '0')}.jsonl`;
  return { name, number, day, dayEndMs: Date.parse(day) + DAY_MS };
}

/** The journal's files, oldest first. What else is in the directory is left alone. */
export async function listJournalFiles(directory: string): Promise<JournalFile[]> {
  const files: JournalFile[] = [];
  for (const name of await readdir(directory)) {
    const [, day = '', number] = FILE_NAME.exec(name) ?? [];
    const dayMs = Date.parse(day);
    if (!Number.isNaN(dayMs)) files.push({ name, number: Number(number), day, dayEndMs: dayMs + DAY_MS });
  }
  return files.sort((a, b) => a.number - b.number);
}

/** A line of a file, without its end, and where it is in bytes. */
export interface FileLine {
  readonly text: string;
  readonly offset: number;
  readonly byteCount: number;
  /** False: the file ends within it. */
  readonly isWhole: boolean;
}

export function* splitLines(content: Buffer): Generator<FileLine> {
  for (let offset = 0; offset < content.length; ) {
    const end = content.indexOf(0x0a, offset);
    const stop = end === -1 ? content.length : end;
    yield { text: content.toString('utf8', offset, stop), offset, byteCount: stop - offset, isWhole: end !== -1 };
    offset = stop + 1;
  }
}

/** Makes the creation and removal of a directory's files durable, which a file's own sync does not. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, 'r');
  await handle.sync();
}

/**
 * The number of the oldest file that has something left to do, so that a start need not read the years before it.
 * It may lag behind, and then only costs time; 0 when it is not known.
 */
export async function readCheckpoint(directory: string): Promise<number> {
  const text = await readFile(join(directory, CHECKPOINT), 'utf8').catch(() => '');
  return /^\d{1,8}\n$/.test(text) ? Number(text) : 0;
}

export async function writeCheckpoint(directory: string, number: number): Promise<void> {
  const temporary = join(directory, CHECKPOINT + TEMPORARY);
  await writeFile(temporary, `${number}\n`, { mode: 0o600 });
  await rename(temporary, join(directory, CHECKPOINT));
}

/** Removes what a crash left of files that were being made. */
export async function removeTemporaryFiles(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.endsWith(TEMPORARY)) await unlink(join(directory, name));
  }
}

/** Removes files in the order given; one that is gone already does not matter. */
export async function removeFiles(directory: string, files: readonly JournalFile[]): Promise<void> {
  for (const { name } of files) {
    await unlink(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
