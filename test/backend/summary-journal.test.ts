import { appendFile, chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SummaryJournal, type SummaryJournalOptions } from '../../src/backend/summaries/summary-journal.ts';
import { Child } from './support/child.ts';
import { MemoryLog } from './support/memory-log.ts';
import { summaryRecord } from './support/summaries.ts';
import { tempDirectory } from './support/temp-directory.ts';

const DAY_MS = 86_400_000;
const delivered = { kind: 'delivered' } as const;
const refused = (isFinal: boolean) => ({ kind: 'refused', status: 400, isFinal }) as const;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let log: MemoryLog;
let journal: SummaryJournal | undefined;
let nowMs = 0;

beforeEach(async () => {
  directory = await tempDirectory();
  log = new MemoryLog();
  nowMs = Date.parse('2025-11-05T15:00:00Z');
});
afterEach(async () => {
  await journal?.close();
  journal = undefined;
  await directory[Symbol.asyncDispose]();
});

const path = (name = '') => join(directory.path, 'data', 'summaries', name);
const files = async () => (await readdir(path())).filter((name) => name.startsWith('summaries-')).sort();
const text = async () => (await Promise.all((await files()).map((name) => readFile(path(name), 'utf8')))).join('');

async function open(options: Partial<SummaryJournalOptions> = {}): Promise<SummaryJournal> {
  await journal?.close();
  const data = join(directory.path, 'data');
  journal = await SummaryJournal.open({
    directory: data,
    retentionDays: 30,
    log: log.logger,
    now: () => nowMs,
    ...options,
  });
  return journal;
}

/** Resolves when everything that was begun on the files is done. */
const idle = () => journal?.read('nothing');

async function append(count: number, isForBackend = true): Promise<string[]> {
  const records = Array.from({ length: count }, (_, index) => summaryRecord(`call-${index}`));
  await Promise.all(records.map((record) => journal?.append(record, isForBackend)));
  return records.map(({ idempotencyKey }) => idempotencyKey);
}

test('is private', async () => {
  await open();
  await append(1);
  const modeOf = async (name?: string) => (await stat(path(name))).mode & 0o777;
  expect(await modeOf()).toBe(0o700);
  for (const name of await readdir(path())) expect([name, await modeOf(name)]).toEqual([name, 0o600]);
});

test('takes rights away from a directory that has too many, and only from its own', async () => {
  await mkdir(path(), { recursive: true });
  await chmod(path(), 0o755);
  await chmod(join(directory.path, 'data'), 0o755);
  await open();
  expect((await stat(path())).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory.path, 'data'))).mode & 0o777).toBe(0o755);
});

test('one daemon at a time', async () => {
  await open();
  const data = join(directory.path, 'data');
  const second = SummaryJournal.open({ directory: data, retentionDays: 30, log: log.logger });
  await expect(second).rejects.toThrow(/DATA_DIR is used by another daemon/);
});

test('gives back what was written, pending until it is settled', async () => {
  const record = summaryRecord();
  const opened = await open();
  await opened.append(record, true);
  expect([...opened.pending]).toEqual([record.idempotencyKey]);
  expect(await opened.read(record.idempotencyKey)).toEqual(record);
  await opened.settle(record.idempotencyKey, delivered);
  expect(opened.pendingCount).toBe(0);
  expect(await opened.read(record.idempotencyKey)).toBeUndefined();
  expect(await text()).toContain(`{"delivered":"${record.idempotencyKey}","at":"2025-11-05T15:00:00.000Z"}\n`);
});

test('appended together, all are there, line by line', async () => {
  const opened = await open();
  const ids = await append(200);
  for (const id of ids) expect((await opened.read(id))?.idempotencyKey).toBe(id);
  expect(
    (await text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).idempotencyKey),
  ).toEqual(ids);
});

describe('after a restart', () => {
  test('what is not settled is pending, in order', async () => {
    const opened = await open();
    const [a, b, c, d, e] = (await append(5)) as [string, string, string, string, string];
    await opened.settle(b, delivered);
    await opened.settle(d, refused(true));
    await opened.settle(e, refused(false));
    expect([...opened.pending]).toEqual([a, c]);
    const again = await open();
    expect([...again.pending]).toEqual([a, c, e]);
    await again.settle(a, delivered);
    expect([...(await open()).pending]).toEqual([c, e]);
    expect(log.lines).toEqual([]);
  });

  test('records that are only kept are not pending', async () => {
    await open();
    const ids = await append(3, false);
    expect(journal?.pendingCount).toBe(0);
    expect((await open()).pendingCount).toBe(0);
    for (const id of ids) expect(await text()).toContain(id);
  });

  test.each([
    ['a torn last line', (content: string) => content.slice(0, -20), /torn/, 2],
    ['a last line without its end', (content: string) => content.slice(0, -1), undefined, 3],
    ['a damaged line', (content: string) => content.replace('"idempotencyKey"', '"idem'), /damaged/, 2],
    ['zeros, as some file systems leave', (content: string) => `${content}${'\0'.repeat(100)}`, /torn/, 3],
    ['other JSON', (content: string) => `[1]\nnull\n7\n{"at":1}\n${content}`, /damaged/, 3],
  ])('%s costs no other', async (_name, damage, warning, count) => {
    await open();
    await append(3);
    await journal?.close();
    const [name = ''] = await files();
    await writeFile(path(name), damage(await readFile(path(name), 'utf8')));
    const opened = await open();
    expect(opened.pendingCount).toBe(count);
    for (const id of opened.pending) expect(await opened.read(id)).toBeDefined();
    if (warning) expect(log.find(warning).length).toBeGreaterThan(0);
    else expect(log.lines).toEqual([]);
    // What comes next is not appended to what is torn.
    await append(1);
    expect((await open()).pendingCount).toBe(count + 1);
  });

  test('a settled past is not read again', async () => {
    const opened = await open({ maxFileBytes: 1 });
    for (let i = 0; i < 3; i++) for (const id of await append(1)) await opened.settle(id, delivered);
    const [pending = ''] = await append(1);
    await opened.close();
    const all = await files();
    for (const name of all.slice(0, 3)) await appendFile(path(name), 'would be warned of');
    const again = await open();
    expect([...again.pending]).toEqual([pending]);
    expect(log.lines).toEqual([]);
    // Without the note of where to begin, everything is.
    await again.close();
    await rm(path('checkpoint'));
    expect([...(await open()).pending]).toEqual([pending]);
    expect(log.find(/torn/)).toHaveLength(3);
  });

  test('a record written twice is pending once', async () => {
    const opened = await open();
    const record = summaryRecord();
    await opened.append(record, true);
    await opened.append(record, true);
    expect((await open()).pendingCount).toBe(1);
    await journal?.settle(record.idempotencyKey, delivered);
    expect((await open()).pendingCount).toBe(0);
  });
});

test('everything that was acknowledged survives kill -9', async () => {
  const data = join(directory.path, 'data');
  const child = new Child('appending-daemon.ts', [data]);
  const acknowledged: string[] = [];
  while (acknowledged.length < 300) acknowledged.push((await child.line()) ?? '');
  await child.kill();
  for (let line = await child.line(); line?.length === 36; line = await child.line()) acknowledged.push(line);
  const opened = await open();
  const pending = new Set(opened.pending);
  expect(acknowledged.filter((id) => !pending.has(id))).toEqual([]);
  for (const id of pending) expect((await opened.read(id))?.idempotencyKey).toBe(id);
  expect((await files()).length).toBeGreaterThan(5);
});

test('a write that fails half way leaves no torn line behind', async () => {
  const data = join(directory.path, 'data');
  // A full disk in small: writes past the limit come back short, then fail.
  const limited = ['bash', '-c', 'trap "" XFSZ; ulimit -f 8; exec "$@"', 'bash'];
  const child = new Child('full-disk.ts', [data], limited);
  expect([await child.line(), await child.line(), await child.line()]).toEqual([
    'written',
    'journal_write_failed EFBIG',
    'written',
  ]);
  await child.end();
  expect((await open()).pendingCount).toBe(2);
  expect(log.lines).toEqual([]);
});

test('a journal that cannot be written says so, and goes on when it can', async () => {
  const opened = await open();
  await rename(path(), `${path()}-away`);
  await expect(opened.append(summaryRecord(), true)).rejects.toMatchObject({ code: 'journal_write_failed' });
  expect(opened.pendingCount).toBe(0);
  await rename(`${path()}-away`, path());
  await append(1);
  expect((await open()).pendingCount).toBe(1);
});

test('a closed journal takes nothing', async () => {
  const opened = await open();
  const appended = append(3);
  await Promise.all([opened.close(), opened.close(), appended]);
  await expect(opened.append(summaryRecord(), true)).rejects.toMatchObject({ code: 'journal_closed' });
  expect((await open()).pendingCount).toBe(3);
});

describe('files', () => {
  test('a new one is begun for each day and size', async () => {
    await open({ maxFileBytes: 1_000 });
    for (let i = 0; i < 7; i++) await append(1);
    nowMs += DAY_MS;
    await append(1);
    const names = await files();
    expect(names.at(0)).toBe('summaries-2025-11-05-00000001.jsonl');
    expect(names.at(-1)).toMatch(/^summaries-2025-11-06-/);
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) expect((await stat(path(name))).size).toBeLessThan(4_000);
    expect((await open()).pendingCount).toBe(8);
  });

  test('they go when their days are over and they are delivered', async () => {
    const opened = await open({ retentionDays: 2 });
    for (const id of await append(2)) await opened.settle(id, delivered);
    nowMs += DAY_MS;
    for (const id of await append(1)) await opened.settle(id, delivered);
    nowMs = Date.parse('2025-11-08T00:00:00Z') - 1;
    await opened.sweep();
    expect(await files()).toHaveLength(2);
    nowMs += 1;
    await opened.sweep();
    expect(await files()).toEqual(['summaries-2025-11-06-00000002.jsonl']);
    // What was noted in the meantime is in a file of its own day, and a start looks too.
    nowMs += DAY_MS;
    await open({ retentionDays: 2 });
    expect(await files()).toEqual([]);
  });

  test('what was never delivered stays, though the clock steps 40 days', async () => {
    const opened = await open();
    const [waiting = '', sent = '', parked = ''] = await append(3);
    nowMs += DAY_MS;
    await opened.settle(sent, delivered);
    await opened.settle(parked, refused(false));
    nowMs += 40 * DAY_MS;
    await opened.sweep();
    expect([...opened.pending]).toEqual([waiting]);
    // What is kept says of the one beside it that it was delivered; the one that was put aside is tried again.
    const again = await open();
    expect([...again.pending].sort()).toEqual([waiting, parked].sort());
    for (const id of [waiting, parked]) {
      expect(await again.read(id)).toBeDefined();
      await again.settle(id, delivered);
    }
    nowMs += 40 * DAY_MS;
    await again.sweep();
    expect(await files()).toEqual([]);
  });

  test('a file of today is not kept open into another day', async () => {
    const opened = await open({ retentionDays: 1 });
    await append(1, false);
    nowMs += 3 * DAY_MS;
    await opened.sweep();
    expect(await files()).toEqual([]);
    await append(1);
    expect(await files()).toEqual(['summaries-2025-11-08-00000002.jsonl']);
  });

  test('other files in the directory are left alone', async () => {
    await open();
    await writeFile(path('summaries-notes.txt'), 'mine');
    await writeFile(path('summaries-2025-99-99-00000009.jsonl'), 'mine');
    nowMs += 100 * DAY_MS;
    await open();
    expect(await files()).toEqual(['summaries-2025-99-99-00000009.jsonl', 'summaries-notes.txt']);
  });
});

describe('without retention', () => {
  test('nothing stays of what was delivered', async () => {
    const opened = await open({ retentionDays: 0 });
    for (const id of await append(3)) await opened.settle(id, delivered);
    await idle();
    expect(await files()).toEqual([]);
  });

  test('what is undelivered stays, alone, and can be read', async () => {
    const opened = await open({ retentionDays: 0, maxFileBytes: 1_000 });
    const ids = await append(3);
    const [other = ''] = await append(1);
    const [parked = ''] = await append(1);
    await opened.settle(parked, refused(false));
    for (const id of ids) await opened.settle(id, delivered);
    await opened.sweep();
    expect(await files()).toHaveLength(1);
    const content = await text();
    for (const id of ids) expect(content).not.toContain(id);
    expect((await opened.read(other))?.idempotencyKey).toBe(other);
    const again = await open({ retentionDays: 0 });
    expect(new Set(again.pending)).toEqual(new Set([other, parked]));
    for (const id of [...again.pending]) await again.settle(id, delivered);
    await idle();
    expect(await files()).toEqual([]);
  });

  test('what is not for the backend is not written', async () => {
    await open({ retentionDays: 0 });
    await append(2, false);
    expect(await files()).toEqual([]);
  });

  test('what an earlier setting kept goes at the start', async () => {
    const opened = await open();
    const [a = '', b = ''] = await append(2);
    await opened.settle(a, delivered);
    await open({ retentionDays: 0 });
    expect([...(journal?.pending ?? [])]).toEqual([b]);
    expect(await text()).not.toContain(a);
  });

  test('half-made files of a crash go', async () => {
    await (await open({ retentionDays: 0 })).close();
    await writeFile(path('summaries-2025-11-05-00000007.jsonl.tmp'), 'personal data');
    await open({ retentionDays: 0 });
    expect(await files()).toEqual([]);
  });
});
