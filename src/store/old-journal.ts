import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { StoreFile } from './database.ts';
import { StoreError } from './errors.ts';
import { History } from './history.ts';
import type { HistoryCall, SummaryMark } from './records.ts';
import { Statements } from './statements.ts';
import { Undelivered } from './undelivered.ts';
import { wordsOf } from './words.ts';

/** Where versions before this one kept summaries, in `DATA_DIR`: JSON lines, and marks of what became of them. */
const FOLDER = 'summaries';
const FILE_NAME = /^summaries-\d{4}-\d{2}-\d{2}-(\d{8})\.jsonl$/;
/** Files of ours that only mattered to the older version. */
const LEFTOVERS = /^(lock|checkpoint|lock\..*|.*\.tmp)$/;
/** None of theirs is much larger than 16 MiB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** An older daemon touches its lock four times as often. */
const LOCK_STALE_MS = 60_000;

export interface TakenOver {
  readonly callCount: number;
  readonly undeliveredCount: number;
  /** Files that stay, because not all of them could be read, each with the reason. */
  readonly left: readonly { readonly file: string; readonly why: string }[];
}

interface OldSummary {
  readonly callId: string;
  readonly aiAgentRef: string;
  readonly storeId: string | null;
  readonly callerNumber: string | null;
  readonly didNumber: string | null;
  readonly startTs: string;
  readonly endTs: string;
  readonly durationSeconds: number;
  readonly transcript: readonly string[];
  readonly actionsTaken: readonly unknown[];
  readonly transferredTo: string | null;
  readonly transferReason: string | null;
}

type Line =
  | { readonly kind: 'record'; readonly id: string; readonly tenantId: string; readonly summary: OldSummary }
  | { readonly kind: 'kept'; readonly id: string; readonly tenantId: string; readonly summary: OldSummary }
  | { readonly kind: 'mark'; readonly id: string; readonly mark: SummaryMark };

/**
 * Moves what the journal of an older version holds into a database: everything that is not delivered, and as history
 * what began after `keepFromMs`. Its files are removed once that is on the disk; should there be no time for it, they
 * are known the next time and not read again.
 * @throws {StoreError} `store_locked` when a daemon of the older version uses it
 */
export function takeOverJournal(directory: string, file: StoreFile, keepFromMs: number): TakenOver | undefined {
  const folder = join(directory, FOLDER);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  checkOldLock(join(folder, 'lock'));
  const known = file.database.prepare('SELECT 1 FROM taken_over WHERE file = ?');
  const statements = new Statements(file.database);
  const names = readdirSync(folder)
    .filter((name) => FILE_NAME.test(name))
    .sort((a, b) => FILE_NAME.exec(a)![1]!.localeCompare(FILE_NAME.exec(b)![1]!));
  const left: { file: string; why: string }[] = [];
  const counts = { calls: 0, undelivered: 0 };
  file.transaction(() => {
    const target = { history: new History(file.database), undelivered: new Undelivered(file.database), keepFromMs };
    const before = target.undelivered.ids().length;
    for (const name of names) {
      if (known.get(name)) continue;
      const content = readRegular(join(folder, name));
      if ('why' in content) {
        left.push({ file: join(FOLDER, name), why: content.why });
        continue;
      }
      const { callCount, damagedCount } = takeOverFile(content.text, target);
      counts.calls += callCount;
      if (damagedCount > 0) left.push({ file: join(FOLDER, name), why: `lines that cannot be read: ${damagedCount}` });
      statements.write('INSERT INTO taken_over (file) VALUES (?)', name);
    }
    counts.undelivered = target.undelivered.ids().length - before;
  });
  const stays = new Set(left.map(({ file: path }) => path));
  for (const name of readdirSync(folder)) {
    const isOurs = FILE_NAME.test(name) || LEFTOVERS.test(name);
    if (isOurs && !stays.has(join(FOLDER, name))) unlinkSync(join(folder, name));
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
  if (names.length === 0) return undefined;
  return { callCount: counts.calls, undeliveredCount: counts.undelivered, left };
}

interface Target {
  readonly history: History;
  readonly undelivered: Undelivered;
  readonly keepFromMs: number;
}

function takeOverFile(content: string, target: Target): { callCount: number; damagedCount: number } {
  const { history, undelivered, keepFromMs } = target;
  let callCount = 0;
  let damagedCount = 0;
  for (const text of content.split('\n')) {
    if (text === '') continue;
    const line = parseLine(text);
    if (!line) {
      damagedCount += 1;
    } else if (line.kind === 'mark') {
      const isSettled = undelivered.settle(line.id, line.mark);
      if (isSettled) history.mark(line.id, line.mark.kind);
    } else {
      const { id, tenantId, summary } = line;
      const startedAtMs = Date.parse(summary.startTs);
      if (line.kind === 'record') {
        undelivered.add(id, { tenantId, callerNumber: summary.callerNumber ?? null, body: JSON.stringify(summary) });
      }
      if (!(startedAtMs >= keepFromMs)) continue;
      history.add(id, historyCall(tenantId, summary, startedAtMs), line.kind === 'record' ? 'waiting' : 'none');
      callCount += 1;
    }
  }
  return { callCount, damagedCount };
}

function historyCall(tenantId: string, summary: OldSummary, startedAtMs: number): HistoryCall {
  const { transferredTo = null, transferReason } = summary;
  const transcript = Array.isArray(summary.transcript) ? summary.transcript.map(String) : [];
  const actions = Array.isArray(summary.actionsTaken) ? summary.actionsTaken : [];
  const durationMs = Math.round(Number(summary.durationSeconds) * 1000) || 0;
  return {
    tenantId,
    callId: String(summary.callId),
    aiAgentRef: String(summary.aiAgentRef),
    // The older version did not keep how a call ended.
    outcome: transferredTo === null ? 'unknown' : 'transferred',
    storeId: summary.storeId ?? null,
    callerNumber: summary.callerNumber ?? null,
    didNumber: summary.didNumber ?? null,
    transferredTo,
    encoding: null,
    sampleRateHz: null,
    startedAtMs,
    endedAtMs: Date.parse(summary.endTs) || startedAtMs + durationMs,
    durationMs,
    turnCount: transcript.filter((line) => line.startsWith('[User]')).length,
    medianTurnMs: null,
    interruptionCount: 0,
    reconnectCount: 0,
    toolCallCount: actions.length,
    faultCount: 0,
    model: null,
    cost: null,
    details: JSON.stringify({
      transcript,
      actions,
      turns: [],
      faults: [],
      ...(transferReason ? { transferReason } : {}),
    }),
    words: wordsOf(transcript),
  };
}

/** A file's text; or why it is not read, where it is no file or none of ours. Never waits, as on a FIFO. */
function readRegular(path: string): { readonly text: string } | { readonly why: string } {
  let handle: number | undefined;
  try {
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(handle);
    if (!status.isFile()) return { why: 'it is no file' };
    if (status.size > MAX_FILE_BYTES) return { why: `it has ${status.size} bytes: the journal had no such files` };
    return { text: readFileSync(handle, 'utf8') };
  } catch (error) {
    return { why: (error as Error).message };
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

function parseLine(text: string): Line | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { delivered, refused, status, final, idempotencyKey, tenantId, summary, deliver } = value as Record<
    string,
    unknown
  >;
  if (typeof delivered === 'string') return { kind: 'mark', id: delivered, mark: { kind: 'delivered' } };
  if (typeof refused === 'string') {
    const known = typeof status === 'number' ? status : undefined;
    return { kind: 'mark', id: refused, mark: { kind: 'refused', status: known, isFinal: final !== false } };
  }
  if (typeof idempotencyKey !== 'string' || typeof tenantId !== 'string') return undefined;
  if (typeof summary !== 'object' || summary === null) return undefined;
  return {
    kind: deliver === false ? 'kept' : 'record',
    id: idempotencyKey,
    tenantId,
    summary: summary as OldSummary,
  };
}

/** @throws {StoreError} when a daemon of the older version lives, as far as can be told */
function checkOldLock(path: string): void {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status?.isFile() || Date.now() - status.mtimeMs > LOCK_STALE_MS) return;
  let holder: { pid?: unknown; host?: unknown } = {};
  try {
    holder = JSON.parse(readFileSync(path, 'utf8')) as typeof holder;
  } catch {
    // Torn by a crash: its age is all there is to go by.
  }
  if (holder.host === hostname() && typeof holder.pid === 'number' && !isRunning(holder.pid)) return;
  throw new StoreError('store_locked', 'a daemon of an older version had it less than a minute ago');
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
