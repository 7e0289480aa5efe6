import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { dayOf, type JournalFile, journalFile, syncDirectory } from './journal-files.ts';

/** The journal cannot take what it was given. */
export class JournalError extends Error {
  readonly code: 'journal_closed' | 'journal_write_failed';
  constructor(code: JournalError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'JournalError';
    this.code = code;
  }
}

export interface JournalWriterOptions {
  readonly directory: string;
  /** A file that has this many bytes gets no more. */
  readonly maxFileBytes: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Number of the first file. */
  readonly firstNumber: number;
}

/** Where something was written. */
export interface Written {
  readonly file: JournalFile;
  /** In bytes from the start of the file. */
  readonly offset: number;
}

/** Appends to the newest file of a journal, one write after the other; begins a new one by day and size. */
export class JournalWriter {
  readonly #options: JournalWriterOptions;
  #nextNumber: number;
  #handle: FileHandle | undefined;
  #file: JournalFile | undefined;
  #byteCount = 0;

  constructor(options: JournalWriterOptions) {
    this.#options = options;
    this.#nextNumber = options.firstNumber;
  }

  /** The file that the next write may go to. */
  get file(): JournalFile | undefined {
    return this.#file;
  }

  /** A number no file has. */
  takeNumber(): number {
    return this.#nextNumber++;
  }

  /**
   * Appends bytes.
   * @param isDurable whether they are to be on the disk when this resolves
   * @throws {JournalError} when that failed; nothing of them counts then
   */
  async write(bytes: Buffer, isDurable: boolean): Promise<Written> {
    try {
      const { file, handle } = await this.#writable();
      await handle.appendFile(bytes);
      if (isDurable) await handle.datasync();
      const offset = this.#byteCount;
      this.#byteCount += bytes.length;
      return { file, offset };
    } catch (cause) {
      await this.#dropTornWrite();
      const { directory } = this.#options;
      const message = `call summaries cannot be written to ${directory}: ${(cause as Error).message}`;
      throw new JournalError('journal_write_failed', message, { cause });
    }
  }

  /** Whether the file is of a day that is over. */
  get isOfPastDay(): boolean {
    return this.#file !== undefined && this.#file.day !== dayOf(this.#options.now());
  }

  /** Ends the file; the next write begins another. */
  async endFile(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#file = undefined;
    await handle?.close();
  }

  async #writable(): Promise<{ file: JournalFile; handle: FileHandle }> {
    const { directory, maxFileBytes, now } = this.#options;
    if (this.isOfPastDay || this.#byteCount >= maxFileBytes) await this.endFile();
    if (this.#file && this.#handle) return { file: this.#file, handle: this.#handle };
    const file = journalFile(now(), this.takeNumber());
    const handle = await open(join(directory, file.name), 'ax', 0o600);
    try {
      await syncDirectory(directory);
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#file = file;
    this.#handle = handle;
    this.#byteCount = 0;
    return { file, handle };
  }

  /** After a failed write a part of it may be in the file: what follows must not be appended to that. */
  async #dropTornWrite(): Promise<void> {
    try {
      await this.#handle?.truncate(this.#byteCount);
    } catch {
      await this.endFile().catch(() => {});
    }
  }
}
