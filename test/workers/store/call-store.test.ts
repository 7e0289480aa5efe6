import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SummaryDelivery } from '../../../src/backend/summaries/summary-delivery.ts';
import { CallStore, type CallStoreOptions } from '../../../src/workers/store/call-store.ts';
import { Child } from '../../backend/support/child.ts';
import { always, TestServer } from '../../backend/support/http-server.ts';
import { MemoryLog } from '../../backend/support/memory-log.ts';
import { storeEntry } from '../../backend/support/summaries.ts';
import { tempDirectory } from '../../backend/support/temp-directory.ts';

const LONG_MS = 25_000;
const SCRIPT = fileURLToPath(new URL('support/full-disk.ts', import.meta.url));
const HAS_PRLIMIT = spawnSync('prlimit', ['--version']).status === 0;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let server: TestServer;
let log: MemoryLog;
let store: CallStore;
let delivery: SummaryDelivery;
let lost: number;
let failures: number;

beforeEach(async () => {
  directory = await tempDirectory();
  server = await TestServer.start(always(201, {}));
  log = new MemoryLog();
  lost = 0;
  failures = 0;
});
afterEach(async () => {
  await delivery?.close();
  await store?.close();
  await server.close();
  await directory[Symbol.asyncDispose]();
});

const data = () => join(directory.path, 'data');

async function open(options: Partial<CallStoreOptions> = {}): Promise<void> {
  store = await CallStore.open({
    directory: data(),
    retentionDays: 30,
    log: log.logger,
    backoff: { baseMs: 5, maxMs: 50 },
    onFailure: () => {
      failures += 1;
    },
    ...options,
  });
  delivery = new SummaryDelivery({
    store,
    log: log.logger,
    remote: { url: server.url, apiKey: 'k' },
    backoff: { baseMs: 2, maxMs: 20 },
    onResult: ({ outcome }) => {
      if (outcome === 'lost') lost += 1;
    },
  });
}

async function record(count: number, from = 0): Promise<string[]> {
  const entries = Array.from({ length: count }, (_, index) => storeEntry(`call-${from + index}`));
  await Promise.all(entries.map((entry) => delivery.record(entry)));
  return entries.map(({ id }) => id);
}

/** From here on nothing can be written, and nothing opened. */
function breakDisk(): void {
  renameSync(data(), `${data()}-away`);
  writeFileSync(data(), 'no directory');
}

function mendDisk(): void {
  rmSync(data());
  renameSync(`${data()}-away`, data());
}

const delivered = () => new Set(server.received.map(({ headers }) => headers['idempotency-key']));
const states = async () => (await store.search({ limit: 200 }, 'masked')).calls.map(({ summary }) => summary);

describe('while neither the disk nor the backend takes anything', () => {
  beforeEach(async () => {
    server.answer = always(503);
    await open();
    breakDisk();
  });

  test('it is said once, and is sent when the backend is back, and written when the disk is', async () => {
    const ids = await record(20);
    expect(store.state).toMatchObject({ isUp: false, unwritten: 20 });
    expect(delivery.pending).toBe(20);
    await expect.poll(() => failures).toBeGreaterThan(2);
    expect(log.find(/cannot be written: calls go on/)).toHaveLength(1);

    server.answer = always(201);
    await delivery.flush(LONG_MS);
    expect(delivered()).toEqual(new Set(ids));
    expect(store.state).toMatchObject({ isUp: false, unwritten: 20 });

    mendDisk();
    await expect.poll(() => store.state).toMatchObject({ isUp: true, unwritten: 0 });
    expect(log.find(/can be written again/)).toHaveLength(1);
    expect(await states()).toEqual(Array(20).fill('delivered'));
    expect(lost).toBe(0);
  });

  test('it is on the disk once that is back, and outlives a restart', async () => {
    const ids = await record(20);
    mendDisk();
    await expect.poll(() => store.state.unwritten).toBe(0);
    await delivery.close();
    await store.close();
    server.received.length = 0;
    server.answer = always(201);
    await open();
    await delivery.flush(LONG_MS);
    expect(delivered()).toEqual(new Set(ids));
    expect(lost).toBe(0);
  });

  test('what is given up at the end is counted and named', async () => {
    await record(20);
    await delivery.close();
    await store.close();
    expect(lost).toBe(20);
    expect(log.find(/call summary is lost/)).toHaveLength(20);
    expect(log.find(/call summary is lost/)[0]).toMatchObject({ level: 50, callId: 'call-0', tenantId: 'acme' });
  });
});

test('memory is bounded: history goes before what nobody has, the oldest first', async () => {
  await open({ limits: { maxEntries: 10, maxBytes: 1e9 } });
  breakDisk();
  await record(6);
  await delivery.flush(LONG_MS);
  server.answer = always(503);
  await record(8, 100);
  expect(store.state.unwritten).toBe(10);
  expect(lost).toBe(0);
  expect(log.find(/has no history: the disk did not take it/)).toHaveLength(4);
  await record(5, 200);
  expect(store.state.unwritten).toBe(10);
  expect(lost).toBe(3);
  expect(log.find(/call summary is lost/).map(({ callId }) => callId)).toEqual(['call-100', 'call-101', 'call-102']);
  expect(delivery.pending).toBe(10);
  mendDisk();
  await expect.poll(() => store.state.unwritten).toBe(0);
});

test('the bound is of bytes too', async () => {
  await open({ limits: { maxEntries: 1e9, maxBytes: 20_000 } });
  server.answer = always(503);
  breakDisk();
  await record(100);
  expect(store.state.unwritten).toBeLessThan(20);
  expect(store.state.unwritten + lost).toBe(100);
  mendDisk();
});

test('another thread takes the place of one that died, and nothing is lost', async () => {
  server.answer = always(503);
  await open();
  const before = await record(5);
  await store.terminateThread();
  const after = await record(5, 10);
  await expect.poll(() => store.state).toMatchObject({ isUp: true, unwritten: 0 });
  server.answer = always(201);
  await delivery.flush(LONG_MS);
  expect(delivered()).toEqual(new Set([...before, ...after]));
  await expect.poll(states).toEqual(Array(10).fill('delivered'));
  expect(lost).toBe(0);
});

test('a directory that was removed is made anew, with what waits', async () => {
  server.answer = always(503);
  await open();
  const before = await record(3);
  rmSync(data(), { recursive: true });
  const after = await record(2, 10);
  await expect.poll(() => store.state).toMatchObject({ isUp: true, unwritten: 0 });
  expect(log.find(/is gone from DATA_DIR: a new one is begun/)).toMatchObject([{ savedSummaries: 3 }]);
  await delivery.close();
  await store.close();
  server.received.length = 0;
  server.answer = always(201);
  await open();
  await delivery.flush(LONG_MS);
  expect(delivered()).toEqual(new Set([...before, ...after]));
});

test('damage deep in the file is found in the background, and what waits is saved', async () => {
  server.answer = always(503);
  await open();
  const ids = await record(100);
  await delivery.close();
  await store.close();
  const path = join(data(), 'calls.sqlite');
  const bytes = readFileSync(path);
  const page = Math.floor(bytes.lastIndexOf('"figures"') / 4096) * 4096;
  bytes.fill(0xff, page, page + 100);
  writeFileSync(path, bytes);
  await open();
  await log.has(/is broken: it was set aside, and a new one is begun/);
  server.answer = always(201);
  server.received.length = 0;
  await delivery.flush(LONG_MS);
  expect(delivered()).toEqual(new Set(ids));
  expect(lost).toBe(0);
});

test.skipIf(!HAS_PRLIMIT)('a start on a full disk takes calls, and writes them when there is room', async () => {
  const child = new Child(SCRIPT, [data()], ['bash', '-c', 'trap "" XFSZ; ulimit -S -f 0; exec "$@"', '--']);
  expect(await child.line()).toBe('unwritten 3, up false');
  spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
  expect(await child.line()).toBe('unwritten 0, up true, calls 3');
  await child.end();
});
