import { existsSync, mkdirSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { FoundRecording, NewRecording } from './records.ts';
import { numberKey } from './search.ts';
import { Statements } from './statements.ts';

/** The folder of recordings, in `DATA_DIR`. */
const FOLDER = 'recordings';
const END = '.wav';
const HEADER_BYTES = 44;
const FRAME_BYTES = 4;
/** A file without a row is nobody's: those that have just been begun may not have theirs yet. */
const ORPHAN_AFTER_MS = 3_600_000;

/** Which calls were recorded, in one database, and the files beside it. A file without a row is not a recording. */
export class Recordings {
  readonly #statements: Statements;
  readonly #folder: string;

  /** @param directory `DATA_DIR` */
  constructor(database: DatabaseSync, directory: string) {
    this.#statements = new Statements(database);
    this.#folder = join(directory, FOLDER);
  }

  /** Notes that a recording begins; returns where its file is to be. */
  begin(recording: NewRecording): string {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const { id, tenantId, callId, callerNumber, startedAtMs, sampleRateHz } = recording;
    this.#statements.write(
      `INSERT INTO recordings (session_id, tenant, called, caller_key, begun_at_ms, rate) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (session_id) DO NOTHING`,
      id,
      tenantId,
      callId,
      callerNumber === null ? null : numberKey(callerNumber),
      startedAtMs,
      sampleRateHz,
    );
    return this.pathOf(id);
  }

  /** Notes that a recording is over. @param isWhole nothing of it is missing */
  end(id: string, { durationMs, byteCount }: { durationMs: number; byteCount: number }, isWhole: boolean): void {
    this.#statements.write(
      'UPDATE recordings SET recorded_ms = ?, recorded_bytes = ?, is_whole = ? WHERE session_id = ?',
      durationMs,
      byteCount,
      isWhole ? 1 : 0,
      id,
    );
  }

  /** Ends what a daemon left that died: as far as it was written, it can be played. */
  endAll(): void {
    const open = this.#statements
      .read('SELECT session_id AS id, rate FROM recordings WHERE recorded_ms IS NULL')
      .all() as unknown as { id: string; rate: number }[];
    for (const { id, rate } of open) {
      const byteCount = statSync(this.pathOf(id), { throwIfNoEntry: false })?.size ?? 0;
      if (byteCount <= HEADER_BYTES) this.#remove([id]);
      else {
        const durationMs = Math.round(((byteCount - HEADER_BYTES) * 1000) / (rate * FRAME_BYTES));
        this.end(id, { durationMs, byteCount }, false);
      }
    }
  }

  /**
   * The finished recording of a call.
   * @param name its session's id, or its callId, of which the newest counts
   * @returns several tenants' newest when it is a callId that more than one of them used
   */
  find(tenantId: string | undefined, name: string): FoundRecording[] {
    const rows = this.#statements
      .read(
        `SELECT session_id AS id, tenant, called, recorded_bytes AS bytes, max(number) FROM recordings
         WHERE (session_id = ?1 OR called = ?1) AND (?2 IS NULL OR tenant = ?2) AND recorded_ms IS NOT NULL GROUP BY tenant`,
      )
      .all(name, tenantId ?? null) as unknown as { id: string; tenant: string; called: string; bytes: number }[];
    return rows.map(({ id, tenant, called, bytes }) => ({
      id,
      tenantId: tenant,
      callId: called,
      path: this.pathOf(id),
      byteCount: bytes,
    }));
  }

  /** Removes recordings of calls that began before a moment, the oldest first; returns how many. */
  removeBefore(timeMs: number, limit: number): number {
    return this.#remove(
      this.#ids(
        'SELECT session_id AS id FROM recordings WHERE begun_at_ms < ? ORDER BY begun_at_ms LIMIT ?',
        timeMs,
        limit,
      ),
    );
  }

  /** Removes the recordings of one caller, those being made included; returns how many. */
  removeCaller(number: string): number {
    return this.#remove(this.#ids('SELECT session_id AS id FROM recordings WHERE caller_key = ?', numberKey(number)));
  }

  /** Removes a recording of which nothing is there. */
  drop(id: string): void {
    this.#remove([id]);
  }

  /** Removes files that no row names, as after the loss of the database: nobody could find them, nor forget them. */
  removeOrphans(nowMs: number): void {
    if (!existsSync(this.#folder)) return;
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      const id = name.slice(0, -END.length);
      const ageMs = nowMs - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? nowMs);
      if (ageMs < ORPHAN_AFTER_MS) continue;
      const row = this.#statements.read('SELECT 1 FROM recordings WHERE session_id = ?').get(id);
      if (!row) unlink(path);
    }
  }

  pathOf(id: string): string {
    return join(this.#folder, id + END);
  }

  get folder(): string {
    return this.#folder;
  }

  #ids(sql: string, ...values: (string | number)[]): string[] {
    const rows = this.#statements.read(sql).all(...values) as unknown as { id: string }[];
    return rows.map(({ id }) => id);
  }

  /** The file goes first: a row that stays is tried again, a file that stays is forgotten by nobody. */
  #remove(ids: readonly string[]): number {
    for (const id of ids) {
      unlink(this.pathOf(id));
      this.#statements.write('DELETE FROM recordings WHERE session_id = ?', id);
    }
    return ids.length;
  }
}

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
