import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from './errors.ts';

/**
 * The steps from an empty file to the present schema; a file's `user_version` says how many it has had. A step that was
 * released is never changed: another one is added.
 *
 * A call's `id` is the moment it began, in milliseconds, times 1024, plus a number that makes it unique: every index and
 * the full text are then in the order of time, and a page of any search is a range of ids. `words` holds what was said
 * and, as words of its own, what a search may ask for beside it (`facets`): one intersection finds both.
 */
export const STEPS: readonly string[] = [
  `
  CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    outcome TEXT NOT NULL,
    store_id TEXT,
    caller TEXT,
    caller_key TEXT,
    did TEXT,
    transferred_to TEXT,
    encoding TEXT,
    sample_rate INTEGER,
    ended_at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    turns INTEGER NOT NULL,
    median_turn_ms INTEGER,
    interruptions INTEGER NOT NULL,
    reconnects INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    cost REAL,
    summary TEXT NOT NULL
  ) STRICT;
  CREATE INDEX calls_by_caller ON calls (caller_key);
  CREATE INDEX calls_by_call_id ON calls (call_id);
  CREATE TABLE details (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
  CREATE VIRTUAL TABLE words USING fts5 (
    facets, text, content = '', contentless_delete = 1, detail = column,
    tokenize = "unicode61 remove_diacritics 2"
  );
  CREATE TABLE undelivered (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL,
    caller_key TEXT,
    summary TEXT NOT NULL,
    refused_status INTEGER
  ) STRICT;
  CREATE TABLE taken_over (file TEXT PRIMARY KEY) STRICT;
  CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  `,
  `
  ALTER TABLE calls ADD COLUMN model TEXT;
  CREATE TABLE usage (
    slot INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    model TEXT NOT NULL,
    calls INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    audio_up_ms INTEGER NOT NULL,
    audio_down_ms INTEGER NOT NULL,
    input_text INTEGER NOT NULL,
    input_audio INTEGER NOT NULL,
    input_image INTEGER NOT NULL,
    cached_text INTEGER NOT NULL,
    cached_audio INTEGER NOT NULL,
    cached_image INTEGER NOT NULL,
    output_text INTEGER NOT NULL,
    output_audio INTEGER NOT NULL,
    billed_ms INTEGER NOT NULL,
    cost REAL NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (slot, tenant_id, agent, model)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE counted (session_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX counted_by_time ON counted (at_ms);
  `,
  `
  CREATE TABLE recordings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    called TEXT NOT NULL,
    caller_key TEXT,
    begun_at_ms INTEGER NOT NULL,
    rate INTEGER NOT NULL,
    recorded_ms INTEGER,
    recorded_bytes INTEGER,
    is_whole INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX recordings_by_caller ON recordings (caller_key);
  CREATE INDEX recordings_by_call_id ON recordings (called);
  CREATE INDEX recordings_by_begin ON recordings (begun_at_ms);
  `,
  `
  CREATE TABLE looks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL
  ) STRICT;
  CREATE INDEX looks_at_call ON looks (call_id);
  CREATE INDEX looks_at_session ON looks (session_id);
  CREATE INDEX looks_by_time ON looks (at_ms);
  `,
];

/** `w3vg`, in a database's `application_id`: not every SQLite file is ours. */
export const APPLICATION_ID = 0x77337667;

/**
 * Brings a database to the present schema.
 * @throws {StoreError} `store_unusable` for one that a newer version wrote, `store_corrupt` for one that is not ours
 */
export function migrate(database: DatabaseSync): void {
  const version = pragma(database, 'user_version');
  const owner = pragma(database, 'application_id');
  const { count } = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get() as { count: number };
  if (count > 0 && owner !== APPLICATION_ID)
    throw new StoreError('store_corrupt', 'it is a database of something else');
  if (version > STEPS.length) {
    throw new StoreError(
      'store_unusable',
      `its schema is version ${version}, this daemon knows ${STEPS.length}: a newer one wrote it`,
    );
  }
  if (version === STEPS.length) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    for (const step of STEPS.slice(version)) database.exec(step);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${STEPS.length}`);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] as number;
}
