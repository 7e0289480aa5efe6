import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackendLog } from '../log.ts';
import { type JournalFile, splitLines } from './journal-files.ts';
import { parseLine } from './journal-line.ts';

/** A record that is still to be delivered, and where it is: its line without the line's end, in bytes. */
export interface Place {
  readonly file: JournalFile;
  readonly offset: number;
  readonly byteCount: number;
}

export interface Recovery {
  /** By idempotency key, oldest first. */
  readonly pending: Map<string, Place>;
  /** Whether the files have anything that is not to be delivered (any longer). */
  readonly hasSettled: boolean;
}

/**
 * Finds the undelivered records of a journal. Lines that are torn or damaged are skipped with a warning.
 * @param files oldest first
 * @param checkpoint number of the first file worth reading
 */
export async function recoverJournal(
  directory: string,
  files: readonly JournalFile[],
  checkpoint: number,
  log: BackendLog,
): Promise<Recovery> {
  const pending = new Map<string, Place>();
  let hasSettled = false;
  for (const file of files) {
    if (file.number < checkpoint) {
      hasSettled = true;
      continue;
    }
    const content = await readFile(join(directory, file.name));
    for (const { text, offset, byteCount, isWhole } of splitLines(content)) {
      const line = parseLine(text);
      if (line?.kind === 'record' && line.isForBackend) {
        pending.set(line.record.idempotencyKey, { file, offset, byteCount });
      } else if (line?.kind === 'mark' && line.mark.kind === 'refused' && !line.mark.isFinal) {
        // Another configuration may have come with the restart.
      } else {
        hasSettled = true;
        if (line?.kind === 'mark') pending.delete(line.id);
        if (line) continue;
        const what = isWhole ? 'a damaged line was skipped' : 'a line torn by a crash was skipped';
        log.warn({ file: file.name, offset, byteCount }, `journal of call summaries: ${what}`);
      }
    }
  }
  return { pending, hasSettled };
}
