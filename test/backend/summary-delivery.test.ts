import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type DeliveryResult,
  SummaryDelivery,
  type SummaryDeliveryOptions,
} from '../../src/backend/summaries/summary-delivery.ts';
import type { StoreEntry, SummaryState } from '../../src/store/records.ts';
import { forgetCaller } from '../../src/store/upkeep.ts';
import { CallStore, type CallStoreOptions } from '../../src/workers/store/call-store.ts';
import { Child } from './support/child.ts';
import { always, sendAnswer, TestServer } from './support/http-server.ts';
import { MemoryLog } from './support/memory-log.ts';
import { callSummary, storeEntry } from './support/summaries.ts';
import { tempDirectory } from './support/temp-directory.ts';

/** A wait that only ends when all is delivered, unless something is broken. */
const LONG_MS = 25_000;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let server: TestServer;
let log: MemoryLog;
let store: CallStore | undefined;
let delivery: SummaryDelivery | undefined;
let results: DeliveryResult[] = [];

beforeEach(async () => {
  directory = await tempDirectory();
  server = await TestServer.start(always(201, {}));
  log = new MemoryLog();
  results = [];
});
afterEach(async () => {
  await close();
  await server.close();
  await directory[Symbol.asyncDispose]();
});

async function close(): Promise<void> {
  await delivery?.close();
  await store?.close();
}

type Options = Partial<SummaryDeliveryOptions> & Partial<CallStoreOptions>;

async function open(options: Options = {}): Promise<SummaryDelivery> {
  await close();
  const { retentionDays = 30, ...rest } = options;
  store = await CallStore.open({ directory: directory.path, retentionDays, log: log.logger });
  delivery = new SummaryDelivery({
    store,
    log: log.logger,
    remote: { url: server.url, apiKey: 'backend-key' },
    backoff: { baseMs: 2, maxMs: 20 },
    timeoutMs: 20_000,
    onResult: (result) => results.push(result),
    ...rest,
  });
  return delivery;
}

/** Opens with pauses that never end by themselves. */
const openPatient = () => open({ backoff: { baseMs: 1e8, maxMs: 1e8 } });

async function record(count = 1, change: (entry: StoreEntry) => StoreEntry = (entry) => entry): Promise<StoreEntry[]> {
  const entries = Array.from({ length: count }, (_, index) => change(storeEntry(`call-${index}`)));
  await Promise.all(entries.map((one) => delivery?.record(one)));
  return entries;
}

const keys = () => server.received.map(({ headers }) => headers['idempotency-key']);

/** What the history says of a call's summary, once that is on the disk. */
async function stateOf(callId: string): Promise<SummaryState | undefined> {
  const [call] = (await store?.find(undefined, callId, 'masked')) ?? [];
  return call?.summary;
}

test('posts a summary as its tenant, under its key', async () => {
  await open({ remote: { url: `${server.url}/base/`, apiKey: 'backend-key' } });
  const [one] = await record();
  await delivery?.flush(LONG_MS);
  expect(server.received).toHaveLength(1);
  const { method, url, headers, body } = server.received[0]!;
  expect([method, url]).toEqual(['POST', '/base/api/voip/ai-sessions']);
  expect(headers).toMatchObject({
    'content-type': 'application/json',
    'x-tenant-id': 'acme',
    'x-api-key': 'backend-key',
    'idempotency-key': one?.id,
  });
  expect(body).toBe(one?.summary?.body);
  expect(delivery?.pending).toBe(0);
  expect(results).toMatchObject([{ outcome: 'delivered', status: 201 }]);
});

test('many go at once, but no more than four', async () => {
  let openCount = 0;
  let mostOpen = 0;
  const waiting: (() => void)[] = [];
  server.answer = (_received, response) => {
    openCount += 1;
    mostOpen = Math.max(mostOpen, openCount);
    waiting.push(() => {
      openCount -= 1;
      sendAnswer(response, 200);
    });
    // As many as there may be are held until they all are there.
    if (server.received.length >= 4) for (const release of waiting.splice(0)) release();
  };
  await open();
  const records = await record(40);
  await delivery?.flush(LONG_MS);
  expect(mostOpen).toBe(4);
  expect(new Set(keys())).toEqual(new Set(records.map(({ id }) => id)));
  expect(server.received).toHaveLength(40);
});

describe('while the backend is down', () => {
  test.each([500, 502, 503, 504, 408, 425, 429])('status %d is tried again, under the same key', async (status) => {
    server.answer = (_received, response) => sendAnswer(response, server.received.length < 4 ? status : 200);
    await open();
    const [one] = await record();
    await server.hasReceived(4);
    await delivery?.flush(LONG_MS);
    expect(keys()).toEqual(Array(4).fill(one?.id));
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'failed', 'delivered']);
    // Said when it began and when it ended, not at each attempt.
    expect(log.lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining('takes no call summaries'),
      expect.stringContaining('takes call summaries again'),
    ]);
  });

  test('cut connections and answers that do not come are tried again', async () => {
    server.answer = (_received, response) => {
      if (server.received.length === 1) response.socket?.destroy();
      else if (server.received.length > 2) sendAnswer(response, 200);
    };
    await open({ timeoutMs: 200 });
    await record();
    await server.hasReceived(3);
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'delivered']);
  });

  test('what is recorded meanwhile waits, and arrives when it is back', async () => {
    server.answer = (_received, response) => response.socket?.destroy();
    await open();
    const records = await record(20);
    await log.has(/takes no call summaries/);
    expect(delivery?.pending).toBe(20);
    server.answer = always(200);
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
    expect(new Set(keys())).toEqual(new Set(records.map(({ id }) => id)));
  });

  test('one attempt at a time is made', async () => {
    server.answer = always(503);
    await open({ backoff: { baseMs: 1, maxMs: 1 } });
    await record();
    await log.has(/takes no call summaries/);
    let openCount = 0;
    let mostOpen = 0;
    server.answer = (_received, response) => {
      openCount += 1;
      mostOpen = Math.max(mostOpen, openCount);
      // Long enough for others to come in between, if there were any.
      setTimeout(() => {
        openCount -= 1;
        sendAnswer(response, 503);
      }, 10);
    };
    await record(10);
    await server.hasReceived(15);
    expect(mostOpen).toBe(1);
  });

  test('a summary that always fails does not hold up the others', async () => {
    await open();
    const bad = randomUUID();
    server.answer = ({ headers }, response) => sendAnswer(response, headers['idempotency-key'] === bad ? 500 : 200);
    await delivery?.record(storeEntry('bad', bad));
    const records = await record(10);
    const arrived = () => new Set(keys());
    await expect.poll(() => records.every(({ id }) => arrived().has(id)), { timeout: LONG_MS }).toBe(true);
    await expect.poll(() => delivery?.pending, { timeout: LONG_MS }).toBe(1);
  });

  test('Retry-After is heeded', async () => {
    server.answer = always(503, '', { 'retry-after': '1000' });
    await open({ backoff: { baseMs: 1, maxMs: 1 } });
    await record();
    await log.has(/takes no call summaries/);
    server.answer = always(200);
    await record(5);
    // Nothing is to happen, so there is nothing to wait for but many times the pause that would be without the header.
    await delay(100);
    expect(server.received).toHaveLength(1);
    expect(delivery?.pending).toBe(6);
  });

  test('flush tries at once, pause or not, and gives up in time', async () => {
    server.answer = always(503);
    await openPatient();
    await record(3);
    await log.has(/takes no call summaries/);
    await delivery?.flush(1);
    expect(delivery?.pending).toBe(3);
    server.answer = always(200);
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
  });
});

describe('refusals', () => {
  test('409 means that the backend has it', async () => {
    server.answer = always(409);
    await open();
    await record();
    await delivery?.flush(LONG_MS);
    expect(results).toMatchObject([{ outcome: 'delivered', status: 409 }]);
    await expect.poll(() => stateOf('call-0')).toBe('delivered');
  });

  test.each([400, 413, 422])('status %d is noted and logged, and that is all', async (status) => {
    server.answer = always(status, 'because');
    await openPatient();
    await record();
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
    await expect.poll(() => stateOf('call-0')).toBe('refused');
    expect(log.find(/refused a call summary: it is not sent again/)).toMatchObject([
      { level: 50, callId: 'call-0', tenantId: 'acme', reason: `status ${status}` },
    ]);
    await openPatient();
    expect(delivery?.pending).toBe(0);
    expect(server.received).toHaveLength(1);
  });

  test.each([401, 403, 404, 302])(
    'status %d, a matter of configuration, is tried again after a start',
    async (status) => {
      server.answer = always(status);
      await openPatient();
      const [one] = await record();
      await delivery?.flush(LONG_MS);
      expect(delivery?.pending).toBe(0);
      expect(server.received).toHaveLength(1);
      server.answer = always(200);
      await openPatient();
      await delivery?.flush(LONG_MS);
      expect(keys()).toEqual([one?.id, one?.id]);
      await openPatient();
      expect(delivery?.pending).toBe(0);
    },
  );

  test('a tenant that no header can carry is refused, not tried for ever', async () => {
    await openPatient();
    await record(1, (entry) => ({ ...entry, summary: { ...entry.summary!, tenantId: 'a\nb' } }));
    await delivery?.flush(LONG_MS);
    expect(server.received).toEqual([]);
    expect(log.find(/refused/)).toHaveLength(1);
  });
});

describe('across restarts', () => {
  test('a summary whose answer never came arrives after kill -9, under the same key', async () => {
    server.answer = () => {};
    const key = randomUUID();
    const child = new Child('delivering-daemon.ts', [directory.path, server.url, key]);
    expect(await child.line()).toBe('recorded');
    await server.hasReceived(1);
    await child.kill();

    server.answer = always(200);
    await open();
    await delivery?.flush(LONG_MS);
    expect(keys()).toEqual([key, key]);
    expect(server.received[1]?.body).toBe(server.received[0]?.body);
    expect(JSON.parse(server.received[1]?.body ?? '')).toEqual(callSummary('call-1'));
    expect(log.find(/left by an earlier run/)).toMatchObject([{ count: 1 }]);
    // And once delivered, it stays delivered.
    await open();
    expect(delivery?.pending).toBe(0);
  });

  test('closing in the middle of a request loses nothing', async () => {
    server.answer = () => {};
    await open();
    const records = await record(6);
    await server.hasReceived(4);
    await Promise.all([delivery?.close(), delivery?.close()]);
    await Promise.all([store?.close(), store?.close()]);
    await expect(delivery?.record(storeEntry())).rejects.toMatchObject({ code: 'store_closed' });
    expect(delivery?.pending).toBe(6);
    server.answer = always(200);
    await open();
    await delivery?.flush(LONG_MS);
    expect(new Set(keys().slice(4))).toEqual(new Set(records.map(({ id }) => id)));
    expect(server.received).toHaveLength(10);
  });
});

describe('without a backend', () => {
  test('the history is the record, and a backend that comes later is not told', async () => {
    await open({ remote: undefined });
    await record(1, ({ id, call }) => ({ id, call, summaryState: 'none' }));
    expect(delivery?.pending).toBe(0);
    await delivery?.flush(LONG_MS);
    expect(await stateOf('call-0')).toBe('none');
    await open();
    await delivery?.flush(LONG_MS);
    expect(server.received).toEqual([]);
  });

  test('what was meant for one waits for it', async () => {
    server.answer = always(503);
    await openPatient();
    await record();
    await log.has(/takes no call summaries/);
    await open({ remote: undefined });
    expect(delivery?.pending).toBe(1);
    expect(log.find(/W3_API_URL is not set/)).toHaveLength(1);
    server.answer = always(200);
    await open();
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
  });
});

test('without retention a delivered summary leaves no trace', async () => {
  await open({ retentionDays: 0 });
  await record(5, ({ id, summary }) => ({ id, summary, summaryState: 'waiting' }));
  await delivery?.flush(LONG_MS);
  await close();
  const bytes = readFileSync(join(directory.path, 'calls.sqlite'));
  expect(bytes.includes('CREATE TABLE')).toBe(true);
  expect(bytes.includes('393297626144')).toBe(false);
  expect(bytes.includes('Perch')).toBe(false);
});

test('what a caller said is not sent once the caller is forgotten', async () => {
  server.answer = always(503);
  await openPatient();
  await record(2, (entry) => (entry.call?.callId === 'call-0' ? entry : withCaller(entry, '+4930123456')));
  await log.has(/takes no call summaries/);
  expect(forgetCaller(directory.path, '0039 329 7626144').undeliveredCount).toBe(0);
  expect(forgetCaller(directory.path, '+39 329 7626144').undeliveredCount).toBe(1);
  server.answer = always(200);
  server.received.length = 0;
  await delivery?.flush(LONG_MS);
  expect(server.received.map(({ body }) => JSON.parse(body).callId)).toEqual(['call-1']);
  expect(results.filter(({ outcome }) => outcome === 'lost')).toEqual([]);
});

test('logs hold nothing of what was said or who called', async () => {
  server.answer = (_received, response) => sendAnswer(response, server.received.length < 2 ? 503 : 422, 'Perché');
  await open();
  await record();
  await log.has(/refused/);
  expect(log.text).not.toMatch(/393297626144|Perché|Così|backend-key/);
});

function withCaller(entry: StoreEntry, callerNumber: string): StoreEntry {
  return {
    ...entry,
    call: { ...entry.call!, callerNumber },
    summary: { ...entry.summary!, callerNumber },
  };
}
