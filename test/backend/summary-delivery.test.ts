import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SummaryRecord } from '../../src/backend/summaries/call-summary.ts';
import {
  type DeliveryResult,
  SummaryDelivery,
  type SummaryDeliveryOptions,
} from '../../src/backend/summaries/summary-delivery.ts';
import { Child } from './support/child.ts';
import { always, sendAnswer, TestServer } from './support/http-server.ts';
import { MemoryLog } from './support/memory-log.ts';
import { summaryRecord } from './support/summaries.ts';
import { tempDirectory } from './support/temp-directory.ts';

/** A wait that only ends when all is delivered, unless something is broken. */
const LONG_MS = 25_000;

let directory: Awaited<ReturnType<typeof tempDirectory>>;
let server: TestServer;
let log: MemoryLog;
let delivery: SummaryDelivery | undefined;
let results: DeliveryResult[] = [];

beforeEach(async () => {
  directory = await tempDirectory();
  server = await TestServer.start(always(201, {}));
  log = new MemoryLog();
  results = [];
});
afterEach(async () => {
  await delivery?.close();
  delivery = undefined;
  await server.close();
  await directory[Symbol.asyncDispose]();
});

async function open(options: Partial<SummaryDeliveryOptions> = {}): Promise<SummaryDelivery> {
  await delivery?.close();
  delivery = await SummaryDelivery.open({
    directory: directory.path,
    retentionDays: 30,
    log: log.logger,
    remote: { url: server.url, apiKey: 'backend-key' },
    backoff: { baseMs: 2, maxMs: 20 },
    timeoutMs: 20_000,
    onResult: (result) => results.push(result),
    ...options,
  });
  return delivery;
}

/** Opens with pauses that never end by themselves. */
const openPatient = () => open({ backoff: { baseMs: 1e8, maxMs: 1e8 } });

async function record(count = 1): Promise<SummaryRecord[]> {
  const records = Array.from({ length: count }, (_, index) => summaryRecord(`call-${index}`));
  await Promise.all(records.map((one) => delivery?.record(one)));
  return records;
}

const keys = () => server.received.map(({ headers }) => headers['idempotency-key']);
const journalText = async () => {
  const path = join(directory.path, 'summaries');
  const names = (await readdir(path)).filter((name) => name.endsWith('.jsonl')).sort();
  return (await Promise.all(names.map((name) => readFile(join(path, name), 'utf8')))).join('');
};

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
    'idempotency-key': one?.idempotencyKey,
  });
  expect(JSON.parse(body)).toEqual(one?.summary);
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
  expect(new Set(keys())).toEqual(new Set(records.map(({ idempotencyKey }) => idempotencyKey)));
  expect(server.received).toHaveLength(40);
});

describe('while the backend is down', () => {
  test.each([500, 502, 503, 504, 408, 425, 429])('status %d is tried again, under the same key', async (status) => {
    server.answer = (_received, response) => sendAnswer(response, server.received.length < 4 ? status : 200);
    await open();
    const [one] = await record();
    await server.hasReceived(4);
    await delivery?.flush(LONG_MS);
    expect(keys()).toEqual(Array(4).fill(one?.idempotencyKey));
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
    expect(new Set(keys())).toEqual(new Set(records.map(({ idempotencyKey }) => idempotencyKey)));
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
    await delivery?.record(summaryRecord('bad', bad));
    const records = await record(10);
    const arrived = () => new Set(keys());
    await expect
      .poll(() => records.every(({ idempotencyKey }) => arrived().has(idempotencyKey)), { timeout: LONG_MS })
      .toBe(true);
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
    expect(await journalText()).toContain('"delivered"');
  });

  test.each([400, 413, 422])('status %d is noted and logged, and that is all', async (status) => {
    server.answer = always(status, 'because');
    await openPatient();
    const [one] = await record();
    await delivery?.flush(LONG_MS);
    expect(delivery?.pending).toBe(0);
    expect(await journalText()).toContain(`{"refused":"${one?.idempotencyKey}","status":${status},"final":true`);
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
      expect(keys()).toEqual([one?.idempotencyKey, one?.idempotencyKey]);
      await openPatient();
      expect(delivery?.pending).toBe(0);
    },
  );

  test('a tenant that no header can carry is refused, not tried for ever', async () => {
    await openPatient();
    await delivery?.record({ ...summaryRecord(), tenantId: 'a\nb' });
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
    expect(JSON.parse(server.received[1]?.body ?? '')).toEqual(summaryRecord('call-1', key).summary);
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
    await expect(delivery?.record(summaryRecord())).rejects.toMatchObject({ code: 'journal_closed' });
    server.answer = always(200);
    await open();
    await delivery?.flush(LONG_MS);
    expect(new Set(keys().slice(4))).toEqual(new Set(records.map(({ idempotencyKey }) => idempotencyKey)));
    expect(server.received).toHaveLength(10);
  });

  test('two daemons do not share a directory', async () => {
    await open();
    await expect(
      SummaryDelivery.open({ directory: directory.path, retentionDays: 30, log: log.logger }),
    ).rejects.toMatchObject({ code: 'directory_locked' });
  });
});

describe('without a backend', () => {
  test('the journal is the record, and a backend that comes later is not told', async () => {
    await open({ remote: undefined });
    const [one] = await record();
    expect(delivery?.pending).toBe(0);
    await delivery?.flush(LONG_MS);
    expect(await journalText()).toContain(one?.idempotencyKey);
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

  test('and without retention nothing is kept, which is said', async () => {
    await open({ remote: undefined, retentionDays: 0 });
    await record();
    expect(await journalText()).toBe('');
    expect(log.find(/are not kept/)).toHaveLength(1);
  });
});

test('without retention a delivered summary leaves no trace', async () => {
  await open({ retentionDays: 0 });
  await record(5);
  await delivery?.flush(LONG_MS);
  await delivery?.close();
  expect(await journalText()).toBe('');
});

test('when the disk fails, the backend is told directly', async () => {
  await open();
  await rename(join(directory.path, 'summaries'), join(directory.path, 'away'));
  await record();
  expect(server.received).toHaveLength(1);
  server.answer = always(503);
  await expect(delivery?.record(summaryRecord())).rejects.toMatchObject({ code: 'journal_write_failed' });
  await rename(join(directory.path, 'away'), join(directory.path, 'summaries'));
});

test('logs hold nothing of what was said or who called', async () => {
  server.answer = (_received, response) => sendAnswer(response, server.received.length < 2 ? 503 : 422, 'Perché');
  await open();
  await record();
  await log.has(/refused/);
  expect(log.text).not.toMatch(/393297626144|Perché|Così|backend-key/);
});
