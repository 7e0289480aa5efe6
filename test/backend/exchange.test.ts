import type { Agent } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAgent, type ExchangeOptions, exchange, retryAfterMs } from '../../src/backend/exchange.ts';
import { always, deadUrl, TestServer } from './support/http-server.ts';

let agent: Agent;
let server: TestServer;

beforeEach(async () => {
  agent = createAgent(1);
  server = await TestServer.start(always(200, 'fine'));
});
afterEach(async () => {
  await agent.destroy();
  await server.close();
});

function ask(options: Partial<ExchangeOptions> = {}) {
  return exchange({
    url: server.url,
    method: 'GET',
    headers: {},
    timeoutMs: 20_000,
    maxBodyBytes: 1_000,
    dispatcher: agent,
    ...options,
  });
}

test('gives the whole answer, whatever its status', async () => {
  server.answer = always(418, 'a teapot', { 'x-thing': 'yes' });
  expect(await ask()).toMatchObject({
    status: 418,
    text: 'a teapot',
    isTruncated: false,
    headers: { 'x-thing': 'yes' },
  });
});

test('does not follow redirects', async () => {
  server.answer = always(302, '', { location: `${server.url}/elsewhere` });
  expect((await ask()).status).toBe(302);
  expect(server.received.map(({ url }) => url)).toEqual(['/']);
});

test('reads no more of an endless body than it may', async () => {
  server.answer = (_received, response) => {
    const more = () => {
      while (response.write('x'.repeat(10_000)));
    };
    response.on('drain', more);
    more();
  };
  const answer = await ask();
  expect(answer).toMatchObject({ isTruncated: true, text: 'x'.repeat(1_000) });
  // The connection, cut off mid-answer, is not used for what comes next.
  server.answer = always(200, 'next');
  expect((await ask()).text).toBe('next');
});

test('does not cut a character in half', async () => {
  server.answer = always(200, '€€€€');
  expect(await ask({ maxBodyBytes: 7 })).toMatchObject({ text: '€€', isTruncated: true });
});

test('times out without an answer, and in the middle of one', async () => {
  server.answer = () => {};
  await expect(ask({ timeoutMs: 50 })).rejects.toMatchObject({ kind: 'timeout' });
  server.answer = (_received, response) => {
    response.writeHead(200);
    response.write('the beginning of');
  };
  await expect(ask({ timeoutMs: 50 })).rejects.toMatchObject({ kind: 'timeout' });
});

test('times out and can be aborted while it waits for a connection', async () => {
  server.answer = () => {};
  const leave = new AbortController();
  const first = ask({ signal: leave.signal });
  first.catch(() => {});
  await server.hasReceived(1);
  await expect(ask({ timeoutMs: 50 })).rejects.toMatchObject({ kind: 'timeout' });
  const stop = new AbortController();
  const waiting = ask({ signal: stop.signal });
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ kind: 'aborted' });
  leave.abort();
  await expect(first).rejects.toMatchObject({ kind: 'aborted' });
  // Those who gave up were never sent.
  server.answer = always(200, 'fine');
  await ask({ url: `${server.url}/last` });
  expect(server.received.map(({ url }) => url)).toEqual(['/', '/last']);
});

test('does not ask at all when it is aborted already', async () => {
  await expect(ask({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'aborted' });
  expect(server.received).toEqual([]);
});

test('tells network failures from requests that cannot be made', async () => {
  await expect(ask({ url: await deadUrl() })).rejects.toMatchObject({ kind: 'network', code: 'ECONNREFUSED' });
  server.answer = (_received, response) => response.socket?.destroy();
  await expect(ask()).rejects.toMatchObject({ kind: 'network' });
  await expect(ask({ headers: { 'x-tenant-id': 'a\r\nb: c' } })).rejects.toMatchObject({ kind: 'invalid' });
  await expect(ask({ url: 'not a url' })).rejects.toMatchObject({ kind: 'invalid' });
});

test('reads Retry-After in seconds and as a date, within bounds', () => {
  const answer = (value: string) => ({ status: 503, headers: { 'retry-after': value }, text: '', isTruncated: false });
  expect(retryAfterMs(answer('7'), 60_000)).toBe(7_000);
  expect(retryAfterMs(answer('7000'), 60_000)).toBe(60_000);
  expect(retryAfterMs(answer(new Date(Date.now() - 10_000).toUTCString()), 60_000)).toBe(0);
  expect(retryAfterMs(answer(new Date(Date.now() + 86_400_000).toUTCString()), 60_000)).toBe(60_000);
  expect(retryAfterMs(answer('soon'), 60_000)).toBeUndefined();
});
