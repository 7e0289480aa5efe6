import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StoreEntry, UsageEntry, UsageQuery } from '../../src/store/records.ts';
import { APPLICATION_ID, STEPS } from '../../src/store/schema.ts';
import { STORE_FILE, Store } from '../../src/store/store.ts';
import { forgetCaller } from '../../src/store/upkeep.ts';
import { NO_TOKENS } from '../../src/upstream/usage.ts';
import { storeEntry } from '../backend/support/summaries.ts';
import { tempDirectory } from '../backend/support/temp-directory.ts';

const DAY_MS = 86_400_000;
/** A Tuesday, 10:00 UTC. */
const BEGUN_MS = Date.UTC(2026, 10, 24, 10);

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let store: Store;
let nowMs: number;

function open(): Store {
  return Store.open({ directory: directory.path, retentionDays: 30, note() {}, now: () => nowMs });
}

beforeEach(async () => {
  directory = await tempDirectory();
  nowMs = BEGUN_MS + DAY_MS;
  store = open();
});
afterEach(async () => {
  store.close();
  await directory[Symbol.asyncDispose]();
});

function call(usage: Partial<UsageEntry> = {}): StoreEntry {
  return {
    ...storeEntry(),
    usage: {
      tenantId: 'acme',
      aiAgentRef: 'care',
      model: 'big',
      startedAtMs: BEGUN_MS,
      durationMs: 60_000,
      audioUpMs: 50_100,
      audioDownMs: 20_000,
      models: [
        { model: 'big', tokens: { ...NO_TOKENS, input_audio: 100, output_audio: 7 }, seconds: 0, cost: 0.1 },
        { model: 'ears', tokens: {}, seconds: 12.5, cost: 0.2 },
      ],
      ...usage,
    },
  };
}

const read = (query: Partial<UsageQuery> = {}) =>
  store.usage({ tenantId: undefined, fromMs: 0, toMs: nowMs, by: undefined, ...query });

test('is summed over everything, and by each thing that it can be asked by', () => {
  store.write([call(), call({ tenantId: 'beta' }), call({ aiAgentRef: 'sales', startedAtMs: BEGUN_MS - DAY_MS })], []);
  expect(read()).toEqual([
    {
      name: '',
      calls: 3,
      durationSeconds: 180,
      audioSeconds: { up: 150.3, down: 60 },
      tokens: { ...NO_TOKENS, input_audio: 300, output_audio: 21 },
      seconds: 37.5,
      cost: 0.9,
      unpriced: 0,
    },
  ]);
  const told = (by: UsageQuery['by'], query = {}) =>
    read({ by, ...query }).map(({ name, calls, cost }) => [name, calls, cost]);
  expect(told('tenant')).toEqual([
    ['acme', 2, 0.6],
    ['beta', 1, 0.3],
  ]);
  expect(told('agent')).toEqual([
    ['care', 2, 0.6],
    ['sales', 1, 0.3],
  ]);
  expect(told('model')).toEqual([
    ['big', 3, 0.3],
    ['ears', 0, 0.6],
  ]);
  expect(told('day')).toEqual([
    ['2026-11-23', 1, 0.3],
    ['2026-11-24', 2, 0.6],
  ]);
  expect(told('tenant', { tenantId: 'beta' })).toEqual([['beta', 1, 0.3]]);
  expect(told('day', { fromMs: BEGUN_MS })).toEqual([['2026-11-24', 2, 0.6]]);
  expect(told('day', { toMs: BEGUN_MS })).toEqual([['2026-11-23', 1, 0.3]]);
  expect(read({ fromMs: nowMs, toMs: nowMs })).toMatchObject([{ calls: 0, cost: 0, tokens: NO_TOKENS }]);
});

test('counts a call that comes twice once, and one that said nothing as a call', () => {
  const entry = call();
  store.write([entry], []);
  store.write([entry], []);
  store.write([call({ models: [] })], []);
  expect(read()).toMatchObject([{ calls: 2, cost: 0.3 }]);
});

test('tells what had no price', () => {
  const tokens = { ...NO_TOKENS, input_text: 40, output_text: 2 };
  store.write([call({ models: [{ model: 'big', tokens, seconds: 1.5 }] })], []);
  expect(read()).toMatchObject([{ cost: 0, unpriced: 44 }]);
});

test('stays when callers are forgotten and calls are out of date, for more than a year', () => {
  store.write([call()], []);
  expect(forgetCaller(directory.path, '+393297626144').callCount).toBe(1);
  nowMs = BEGUN_MS + 399 * DAY_MS;
  while (store.sweep());
  expect(read()).toMatchObject([{ calls: 1 }]);
  nowMs = BEGUN_MS + 402 * DAY_MS;
  while (store.sweep());
  expect(read()).toMatchObject([{ calls: 0 }]);
});

test('is kept from the day that a file of an older version is opened', () => {
  store.close();
  rmSync(join(directory.path, STORE_FILE));
  const database = new DatabaseSync(join(directory.path, STORE_FILE));
  database.exec(`${STEPS[0]}
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = 1;
    INSERT INTO calls (id, session_id, tenant_id, call_id, agent, outcome, ended_at_ms, duration_ms, turns,
      interruptions, reconnects, tool_calls, faults, summary)
    VALUES (${(BEGUN_MS - DAY_MS) * 1024}, 's', 'acme', 'before', 'care', 'completed', 0, 0, 0, 0, 0, 0, 0, 'none')`);
  database.close();
  store = open();
  store.write([call()], []);
  expect(read()).toMatchObject([{ calls: 1 }]);
  const found = store.search({ limit: 9 }, 'masked').calls.map(({ callId, model }) => [callId, model]);
  expect(found).toEqual([
    ['call-1', 'gpt-realtime-2.1'],
    ['before', undefined],
  ]);
});
