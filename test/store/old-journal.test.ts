import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Store, type StoreNote } from '../../src/store/store.ts';
import { callSummary } from '../backend/support/summaries.ts';
import { tempDirectory } from '../backend/support/temp-directory.ts';

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let notes: StoreNote[];
let store: Store | undefined;

beforeEach(async () => {
  directory = await tempDirectory();
  notes = [];
  mkdirSync(path());
});
afterEach(async () => {
  store?.close();
  await directory[Symbol.asyncDispose]();
});

const path = (name = '') => join(directory.path, 'summaries', name);

function open(retentionDays = 30): Store {
  store?.close();
  store = Store.open({ directory: directory.path, retentionDays, note: (note) => notes.push(note) });
  return store;
}

const startTs = new Date(Date.now() - 3_600_000).toISOString();

/** A line as the older version wrote it. */
function record(id: string, fields: object = {}): string {
  const summary = { ...callSummary(id), startTs, endTs: startTs, ...fields };
  return `${JSON.stringify({ at: startTs, deliver: true, tenantId: 'acme', idempotencyKey: id, summary })}\n`;
}
const kept = (id: string) => record(id).replace('"deliver":true', '"deliver":false');
const delivered = (id: string) => `{"delivered":"${id}","at":"${startTs}"}\n`;
const refused = (id: string, isFinal: boolean) =>
  `{"refused":"${id}","status":401,"final":${isFinal},"at":"${startTs}"}\n`;

const file = (number: number, content: string) =>
  writeFileSync(path(`summaries-2026-11-27-0000000${number}.jsonl`), content);
const calls = () => store!.search({ limit: 100 }, 'masked').calls.map(({ callId, summary }) => [callId, summary]);

test('what is not delivered is taken over, and the rest is history', () => {
  file(1, record('a') + record('b') + record('c') + record('d') + kept('k'));
  file(2, delivered('a') + record('e') + refused('c', true) + refused('d', false));
  writeFileSync(path('checkpoint'), '1\n');
  const opened = open();
  expect(opened.undeliveredIds()).toEqual(['b', 'd', 'e']);
  expect(JSON.parse(opened.readSummary('b')!.body)).toMatchObject({
    callId: 'b',
    transcript: ['[User]: Perché?', '[AI]: Così.'],
  });
  expect(Object.fromEntries(calls())).toEqual({
    a: 'delivered',
    b: 'waiting',
    c: 'refused',
    d: 'waiting',
    e: 'waiting',
    k: 'none',
  });
  expect(opened.find('acme', 'a', 'full')).toMatchObject([
    { outcome: 'transferred', callerNumber: '+393297626144', details: { transferReason: 'asked for a person' } },
  ]);
  expect(opened.search({ q: 'cosi', limit: 9 }, 'masked').calls).toHaveLength(6);
  expect(notes).toMatchObject([{ level: 'info', fields: { callCount: 6, undeliveredCount: 3 } }]);
  expect(existsSync(path())).toBe(false);
  open();
  expect(store!.undeliveredIds()).toEqual(['b', 'd', 'e']);
  expect(notes).toHaveLength(1);
});

test('what is too old, or not to be kept, is no history, and is delivered all the same', () => {
  file(1, record('old', { startTs: '2020-01-01T00:00:00.000Z' }) + record('new'));
  expect(open().undeliveredIds()).toEqual(['old', 'new']);
  expect(calls()).toEqual([['new', 'waiting']]);
  mkdirSync(path());
  file(2, record('x') + record('y') + delivered('y'));
  expect(open(0).undeliveredIds()).toEqual(['old', 'new', 'x']);
});

test('a damaged line costs no other; its file stays, is not read again, and is spoken of', () => {
  file(1, record('a') + record('b').replace('"tenantId"', '"ten') + record('c').slice(0, -40));
  file(2, record('d'));
  expect(open().undeliveredIds()).toEqual(['a', 'd']);
  expect(readdirSync(path())).toEqual(['summaries-2026-11-27-00000001.jsonl']);
  expect(notes.at(-1)).toMatchObject({ level: 'warn', fields: { why: 'lines that cannot be read: 2' } });
  store!.write([], [{ id: 'a', mark: { kind: 'delivered' } }]);
  expect(open().undeliveredIds()).toEqual(['d']);
});

test('no file of an odd kind keeps a start waiting', () => {
  execFileSync('mkfifo', [path('summaries-2026-11-27-00000001.jsonl'), path('lock')]);
  mkdirSync(path('summaries-2026-11-27-00000002.jsonl'));
  file(3, record('a'));
  expect(open().undeliveredIds()).toEqual(['a']);
  expect(notes.filter(({ level }) => level === 'warn')).toHaveLength(2);
});

test('a daemon of the older version is not disturbed', () => {
  file(1, record('a'));
  const lock = (content: object, ageSeconds: number) => {
    writeFileSync(path('lock'), JSON.stringify(content));
    const at = Date.now() / 1000 - ageSeconds;
    utimesSync(path('lock'), at, at);
  };
  lock({ pid: process.pid, host: hostname() }, 0);
  expect(() => open()).toThrow(/a daemon of an older version had it less than a minute ago/);
  lock({ pid: 1, host: 'elsewhere' }, 30);
  expect(() => open()).toThrow(/a daemon of an older version/);
  // Dead, as far as can be told; or silent for too long.
  lock({ pid: 2 ** 22 + 7, host: hostname() }, 0);
  expect(open().undeliveredIds()).toEqual(['a']);
  mkdirSync(path());
  file(2, record('b'));
  lock({ pid: 1, host: 'elsewhere' }, 120);
  expect(open().undeliveredIds()).toEqual(['a', 'b']);
});
