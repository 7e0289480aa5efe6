import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import type { Agent } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAgent, type ExchangeOptions, exchange, retryAfterMs } from '../../src/backend/exchange.ts';
import { type Answerer, always, deadUrl, TestServer } from './support/http-server.ts';

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

const TEXT = 'Perché no? '.repeat(20);
const codings: [name: string, header: string, encode: (text: Buffer) => Buffer][] = [
  ['gzip', 'gzip', zlib.gzipSync],
  ['gzip under its old name', 'X-GZip', zlib.gzipSync],
  ['deflate', 'deflate', zlib.deflateSync],
  ['deflate without a header', 'deflate', zlib.deflateRawSync],
  ['br', 'br', zlib.brotliCompressSync],
  ['two codings', 'br, gzip', (text) => zlib.gzipSync(zlib.brotliCompressSync(text))],
  ['none', 'identity', (text) => text],
];
if ('zstdCompressSync' in zlib) {
  codings.push(['zstd', 'zstd', (zlib as unknown as { zstdCompressSync: (text: Buffer) => Buffer }).zstdCompressSync]);
}

function encoded(header: string, body: Buffer): Answerer {
  return (_received, response) => {
    response.writeHead(200, { 'content-encoding': header });
    response.end(body);
  };
}

test.each(codings)('asks for compressed answers and decodes them, bounded: %s', async (_name, header, encode) => {
  server.answer = encoded(header, encode(Buffer.from(TEXT)));
  expect(await ask()).toMatchObject({ text: TEXT, isTruncated: false });
  for (const coding of ['gzip', 'deflate', 'br']) {
    expect(server.received[0]?.headers['accept-encoding']?.split(', ')).toContain(coding);
  }
  server.answer = encoded(header, encode(Buffer.alloc(30_000_000, 'è')));
  expect(await ask()).toMatchObject({ text: 'è'.repeat(500), isTruncated: true });
});

test.each(codings)(
  'reads the beginning of an answer that is too long compressed: %s',
  async (_name, header, encode) => {
    const noise = Array.from({ length: 20_000 }, (_, index) => createHash('sha1').update(String(index)).digest('hex'));
    const body = encode(Buffer.from(noise.join('')));
    server.answer = encoded(header, body);
    const { text, isTruncated } = await ask({ maxBodyBytes: 200_000 });
    expect(isTruncated).toBe(true);
    expect(text.length).toBeGreaterThan(100_000);
    expect(noise.join('').startsWith(text)).toBe(true);
  },
);

test.each([
  ['an unknown coding', 'lzma', Buffer.from(TEXT)],
  ['a name from the prototype', 'constructor', Buffer.from(TEXT)],
  ['a lie', 'gzip', Buffer.from(TEXT)],
  ['a body that breaks off', 'gzip', zlib.gzipSync(TEXT).subarray(0, -12)],
  ['a stack of codings', 'gzip, gzip, gzip, gzip', Buffer.from(TEXT)],
])('says so when a body cannot be decoded: %s', async (_name, header, body) => {
  server.answer = encoded(header, body);
  expect(await ask()).toMatchObject({ status: 200, text: '', unreadable: expect.stringContaining('the ') });
});

test('takes an answer without a body whatever coding it names', async () => {
  server.answer = (_received, response) => response.writeHead(204, { 'content-encoding': 'gzip' }).end();
  const answer = await ask();
  expect(answer).toMatchObject({ status: 204, text: '' });
  expect(answer.unreadable).toBeUndefined();
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
