import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CallSearch, StoreEntry } from '../../src/store/records.ts';
import { Store, type StoreNote, type StoreOptions } from '../../src/store/store.ts';
import { backUp, forgetCaller } from '../../src/store/upkeep.ts';
import { callSummary, historyCall, storeEntry } from '../backend/support/summaries.ts';
import { tempDirectory } from '../backend/support/temp-directory.ts';

const DAY_MS = 86_400_000;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let notes: StoreNote[];
let store: Store | undefined;
let nowMs: number;

beforeEach(async () => {
  directory = await tempDirectory();
  notes = [];
  nowMs = Date.now();
});
afterEach(async () => {
  store?.close();
  store = undefined;
  await directory[Symbol.asyncDispose]();
});

const path = (name = 'calls.sqlite') => join(directory.path, name);

function open(options: Partial<StoreOptions> = {}): Store {
  store?.close();
  store = Store.open({
    directory: directory.path,
    retentionDays: 30,
    note: (note) => notes.push(note),
    now: () => nowMs,
    ...options,
  });
  return store;
}

const callIds = (opened = store!) => opened.search({ limit: 100 }, 'masked').calls.map(({ callId }) => callId);

describe('summaries', () => {
  test('are there until they are settled, in order, as they were written', () => {
    const opened = open();
    const entries = ['a', 'b', 'c', 'd'].map((callId) => storeEntry(callId));
    const [a, b, c, d] = entries.map(({ id }) => id) as [string, string, string, string];
    opened.write(entries, []);
    expect(opened.readSummary(b)).toEqual({ tenantId: 'acme', body: entries[1]!.summary!.body });
    opened.write(
      [],
      [
        { id: a, mark: { kind: 'delivered' } },
        { id: c, mark: { kind: 'refused', status: 400, isFinal: true } },
        { id: d, mark: { kind: 'refused', status: 401, isFinal: false } },
      ],
    );
    expect(opened.readSummary(a)).toBeUndefined();
    const again = open();
    expect(again.undeliveredIds()).toEqual([b, d]);
    const states = again.search({ limit: 9 }, 'masked').calls.map(({ callId, summary }) => [callId, summary]);
    expect(Object.fromEntries(states)).toEqual({ a: 'delivered', b: 'waiting', c: 'refused', d: 'waiting' });
  });

  test('written twice are one', () => {
    const opened = open();
    const entry = storeEntry();
    opened.write([entry, entry], []);
    opened.write([entry], []);
    expect(opened.undeliveredIds()).toEqual([entry.id]);
    expect(callIds()).toEqual(['call-1']);
  });

  test('stay for as long as nobody has them, and the history for its time', () => {
    const opened = open();
    opened.write([storeEntry()], []);
    expect(opened.sweep()).toBe(false);
    expect(callIds()).toEqual(['call-1']);
    nowMs += 31 * DAY_MS;
    opened.sweep();
    expect(callIds()).toEqual([]);
    expect(opened.undeliveredIds()).toHaveLength(1);
  });

  test('one call that cannot be written keeps out no other, and its summary is saved', () => {
    const opened = open();
    const good = storeEntry('good');
    const bad = storeEntry('bad');
    const odd = { ...bad, call: { ...bad.call!, durationMs: 'long' as unknown as number } };
    const worse = {
      ...storeEntry('worse'),
      call: undefined,
      summary: { tenantId: 'a', callerNumber: null, body: 7 as never },
    };
    const { refused } = opened.write([odd, worse, good], []);
    expect(refused.map(({ id }) => id)).toEqual([]);
    expect(callIds()).toEqual(['good']);
    expect(opened.undeliveredIds()).toEqual([bad.id, worse.id, good.id]);
    expect(notes).toMatchObject([{ level: 'error', message: 'a call has no history' }]);
  });
});

describe('the files', () => {
  test('are private, and the directory is when it is ours', () => {
    open({ directory: path('mine') });
    expect(statSync(path('mine')).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(path('mine'))) {
      expect([name, statSync(path(`mine/${name}`)).mode & 0o777]).toEqual([name, 0o600]);
    }
    store?.close();
    chmodSync(path('mine/calls.sqlite'), 0o644);
    open({ directory: path('mine') });
    expect(statSync(path('mine/calls.sqlite')).mode & 0o777).toBe(0o600);
  });

  test('one daemon at a time', () => {
    open();
    const second = () => Store.open({ directory: directory.path, retentionDays: 30, note: () => {} });
    expect(second).toThrow(
      new RegExp(`^DATA_DIR is used by another daemon \\(process ${process.pid} on .+\\): two cannot share one`),
    );
    store?.close();
    second().close();
  });

  test.each([
    ['noise', () => writeFileSync(path(), Buffer.alloc(50_000, 'noise'))],
    ['a FIFO', () => execFileSync('mkfifo', [path()])],
    ['a FIFO for its log', () => execFileSync('mkfifo', [path('calls.sqlite-wal')])],
    ['a directory', () => mkdirSync(path())],
    ['a database of something else', () => other()],
  ])('%s is set aside, and a new one is begun', (_what, make) => {
    make();
    const opened = open();
    opened.write([storeEntry()], []);
    expect(callIds()).toEqual(['call-1']);
    expect(notes).toMatchObject([{ level: 'error', message: /is broken: it was set aside, and a new one is begun/ }]);
    expect(existsSync(String(notes[0]!.fields['setAside']))).toBe(!_what.includes('log'));
    expect(readdirSync(directory.path).some((name) => name.includes('.broken-'))).toBe(true);
  });

  function other(): void {
    const database = new DatabaseSync(path());
    database.exec('CREATE TABLE notes (text TEXT)');
    database.close();
  }

  test('what a broken file still tells of summaries is taken over', () => {
    const opened = open();
    const entries = Array.from({ length: 400 }, (_, index) => storeEntry(`call-${index}`));
    opened.write(entries, []);
    opened.close();
    // The pages at the end are the newest ones: the last index, and the last details.
    const bytes = readFileSync(path());
    const details = bytes.lastIndexOf('"figures"');
    bytes.fill(0, details - 3_000, details);
    writeFileSync(path(), bytes);
    const again = open();
    again.beginAnew(Object.assign(new Error('a page is broken'), { code: 'store_corrupt' }) as never);
    expect(again.undeliveredIds()).toEqual(entries.map(({ id }) => id));
    expect(notes.at(-1)).toMatchObject({ level: 'error', fields: { savedSummaries: 400, why: 'a page is broken' } });
    expect(callIds()).toEqual([]);
  });

  test('one that was removed while it was used is begun anew, with what was to be delivered', () => {
    const opened = open();
    const entry = storeEntry();
    opened.write([entry], []);
    renameSync(path(), path('elsewhere'));
    expect(() => opened.write([storeEntry()], [])).toThrow(/was moved or removed/);
    opened.beginAnew(Object.assign(new Error('moved'), { code: 'store_moved' }) as never);
    expect(opened.undeliveredIds()).toEqual([entry.id]);
    expect(existsSync(path())).toBe(true);
  });

  test('of a newer version are left alone', () => {
    open().close();
    const database = new DatabaseSync(path());
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => open()).toThrow(/its schema is version 99, this daemon knows 4: a newer one wrote it/);
    expect(readdirSync(directory.path).filter((name) => name.includes('broken'))).toEqual([]);
  });

  test('set aside are removed when their time is up', () => {
    writeFileSync(path(), 'noise '.repeat(1000));
    const opened = open();
    opened.sweep();
    expect(readdirSync(directory.path).filter((name) => name.includes('broken'))).toHaveLength(1);
    nowMs += 31 * DAY_MS;
    opened.sweep();
    expect(readdirSync(directory.path).filter((name) => name.includes('broken'))).toEqual([]);
  });
});

describe('a search', () => {
  /** Ten calls, one a minute, the oldest first. */
  function ten(): void {
    const entries = Array.from(
      { length: 10 },
      (_, n): StoreEntry => ({
        id: `session-${n}`,
        summaryState: 'none',
        call: historyCall({
          callId: `call-${n}`,
          tenantId: n % 2 ? 'odd' : 'even',
          aiAgentRef: n < 5 ? 'sales' : 'care-2',
          outcome: n === 7 ? 'upstream_failed' : 'completed',
          callerNumber: `+39 02 1234${n}0`,
          transcript: [`[User]: My number is ${n}, "don't" you KNOW?`, n === 3 ? '[AI]: Perché così?' : '[AI]: Fine.'],
          startedAtMs: nowMs - (10 - n) * 60_000,
        }),
      }),
    );
    open().write(entries, []);
  }
  const found = (search: object) =>
    store!.search({ limit: 100, ...search }, 'masked').calls.map(({ callId }) => callId);
  const calls = (...numbers: number[]) => numbers.map((n) => `call-${n}`);

  test.each<[string, Partial<CallSearch>, string[]]>([
    ['everything, the newest first', {}, calls(9, 8, 7, 6, 5, 4, 3, 2, 1, 0)],
    ['a tenant', { tenantId: 'odd' }, calls(9, 7, 5, 3, 1)],
    ['an agent', { agent: 'sales' }, calls(4, 3, 2, 1, 0)],
    ['part of its name is none', { agent: 'care' }, []],
    ['an outcome', { outcome: 'upstream_failed' }, calls(7)],
    ['all of them', { tenantId: 'odd', agent: 'sales', outcome: 'completed' }, calls(3, 1)],
    ['a word', { q: 'perche' }, calls(3)],
    ['words in any order', { q: 'know MY' }, calls(9, 8, 7, 6, 5, 4, 3, 2, 1, 0)],
    ['a word and a tenant', { q: 'fine', tenantId: 'odd' }, calls(9, 7, 5, 1)],
    ['a word nobody said', { q: 'refund' }, []],
    ['the labels of the speakers are no words', { q: 'AI' }, []],
    ['the language of the index is none', { q: 'fine OR perche NEAR(' }, []],
    ['quotation marks and signs', { q: '"don\'t" - you*' }, calls(9, 8, 7, 6, 5, 4, 3, 2, 1, 0)],
    ['nothing but signs', { q: '"*' }, []],
    ['nothing but blanks', { q: '  ', agent: 'sales' }, calls(4, 3, 2, 1, 0)],
    ['the last digits', { q: '40' }, calls(4)],
    ['more of them, with blanks', { q: '12 34 70' }, calls(7)],
    ['the whole number', { q: '+3902123460' }, calls(6)],
    ["the last digits of another tenant's", { q: '40', tenantId: 'odd' }, []],
    ['a callId', { q: 'call-8' }, calls(8)],
    ["another tenant's callId", { q: 'call-8', tenantId: 'odd' }, []],
    ['from', { fromMs: -3 }, calls(9, 8, 7)],
    ['to', { toMs: -7 }, calls(2, 1, 0)],
    ['a time and a word', { fromMs: -8, toMs: -4, q: 'fine' }, calls(5, 4, 2)],
  ])('%s', (_what, search, expected) => {
    ten();
    const at = (minutes: number | undefined) => (minutes === undefined ? {} : nowMs + minutes * 60_000);
    const times = Object.fromEntries(
      Object.entries(search).map(([name, value]) => [name, /Ms$/.test(name) ? at(value as number) : value]),
    );
    expect(found(times)).toEqual(expected);
  });

  test.each([{}, { q: 'fine' }, { tenantId: 'even' }, { q: '0' }])(
    '%j comes in pages that have each call once',
    (search) => {
      ten();
      const whole = found(search);
      const paged: string[] = [];
      let cursor: number | undefined;
      do {
        const page = store!.search({ ...search, cursor, limit: 2 }, 'masked');
        expect(page.calls.length).toBeLessThanOrEqual(2);
        paged.push(...page.calls.map(({ callId }) => callId));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(paged).toEqual(whole);
    },
  );

  test('calls of the same moment are all there', () => {
    const entries = Array.from({ length: 50 }, (_, n) => ({
      ...storeEntry(`call-${n}`),
      call: historyCall({ callId: `call-${n}`, startedAtMs: nowMs }),
    }));
    open().write(entries, []);
    expect(new Set(callIds()).size).toBe(50);
    const [one] = store!.search({ limit: 1 }, 'full').calls;
    expect(one).toMatchObject({ startedAt: new Date(nowMs).toISOString(), callerNumber: '+393297626144' });
    expect(store!.search({ limit: 1 }, 'masked').calls[0]!.callerNumber).toBe('…44');
  });

  test('one call is found by its session, and by its callId, the newest of each tenant', () => {
    const opened = open();
    const entry = (id: string, tenantId: string, startedAtMs: number): StoreEntry => ({
      id,
      summaryState: 'none',
      call: historyCall({ tenantId, startedAtMs, callId: 'same' }),
    });
    opened.write([entry('s1', 'a', nowMs - 9), entry('s2', 'a', nowMs - 5), entry('s3', 'b', nowMs - 7)], []);
    const sessions = (tenantId: string | undefined, name: string) =>
      opened.find(tenantId, name, 'masked').map(({ sessionId }) => sessionId);
    expect(sessions('a', 's1')).toEqual(['s1']);
    expect(sessions('b', 's1')).toEqual([]);
    expect(sessions('a', 'same')).toEqual(['s2']);
    expect(sessions(undefined, 'same')).toEqual(['s2', 's3']);
    expect(opened.find('a', 's1', 'masked')[0]!.details.transcript).toEqual(callSummary().transcript);
  });
});

describe('upkeep', () => {
  test('a backup has everything, is private, and keeps nobody from writing', () => {
    const opened = open();
    opened.write([storeEntry('a'), storeEntry('b')], []);
    const target = path('copy');
    expect(backUp(directory.path, target)).toMatchObject({ callCount: 2, undeliveredCount: 2 });
    expect(statSync(target).mode & 0o777).toBe(0o600);
    opened.write([storeEntry('c')], []);
    expect(() => backUp(directory.path, target)).toThrow(/EEXIST/);
    opened.close();
    rmSync(path());
    renameSync(target, path());
    expect(open().undeliveredIds()).toHaveLength(2);
    expect(callIds().sort()).toEqual(['a', 'b']);
    expect(() => backUp(path('nowhere'), path('other'))).toThrow(/there is no store of calls in .*nowhere/);
    expect(existsSync(path('other'))).toBe(false);
  });

  test('whoever is forgotten leaves nothing, while the daemon runs', () => {
    const opened = open();
    const secret = 'Kaltbrunnersecret';
    const kept = storeEntry('kept');
    const entry = (): StoreEntry => ({
      ...storeEntry(),
      call: historyCall({ callerNumber: '+44 20 7946 0018', transcript: [`[User]: ${secret}`] }),
      summary: { tenantId: 'acme', callerNumber: '+442079460018', body: JSON.stringify({ secret }) },
    });
    const gone = entry();
    opened.write([gone, kept, entry()], []);
    expect(forgetCaller(directory.path, '44 (20) 7946-0018')).toEqual({
      callCount: 2,
      recordingCount: 0,
      undeliveredCount: 2,
    });
    expect(callIds()).toEqual(['kept']);
    expect(opened.readSummary(gone.id)).toEqual({ tenantId: 'acme', body: '' });
    expect(opened.undeliveredIds()).toEqual([kept.id]);
    opened.close();
    const bytes = readFileSync(path());
    expect(bytes.includes('kept')).toBe(true);
    for (const trace of [secret, secret.toLowerCase(), '442079460018', '7946 0018', '810064970244']) {
      expect(bytes.includes(trace), trace).toBe(false);
    }
  });
});
