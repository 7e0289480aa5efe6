import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { Connections } from '../../src/http/connections.ts';
import { excessOf } from '../../src/http/json-body.ts';
import { quote } from '../../src/http/quote.ts';
import { RefusalLog } from '../../src/http/refusal-log.ts';
import { MAX_BODY_BYTES } from '../../src/http/schemas.ts';
import { appOverRecorder } from './support.ts';

const KEY = 'operator-key';
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
});

async function serve(options: Parameters<typeof appOverRecorder>[0] = {}) {
  const server = await appOverRecorder(options);
  closers.push(() => server.close());
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  return { ...server, port: (server.app.server.address() as { port: number }).port };
}

/** A connection and what came back over it. */
function open(port: number): { socket: Socket; text: () => string } {
  const socket = connect(port, '127.0.0.1');
  closers.push(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (data) => {
    text += data;
  });
  socket.on('error', () => {});
  return { socket, text: () => text };
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('a refusal before the body', () => {
  it.each([
    ['POST /nope', 404],
    ['DELETE /health', 405],
    ['POST /api/voice/session/create', 401],
    ['POST /api/voice/stream/call-1', 401],
  ])('comes when the headers of %s have: %i', async (target, status) => {
    const { port } = await serve({ keys: { operatorKey: KEY } });
    const { socket, text } = open(port);
    socket.write(
      `${target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10485760\r\n\r\n`,
    );
    await expect.poll(() => statuses(text())).toEqual([status]);
    // The rest is let in, never parsed, and the connection serves the next request.
    socket.write(nested(5_242_880));
    socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await expect.poll(() => statuses(text()), { timeout: 20_000 }).toEqual([status, 200]);
  });

  it('closes a connection whose body has no end', async () => {
    const { port } = await serve({ keys: { operatorKey: KEY } });
    const { socket, text } = open(port);
    socket.write('POST /nope HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n');
    await once(socket, 'close');
    expect(statuses(text())).toEqual([404]);
    expect(text().toLowerCase()).toContain('connection: close');
  });

  it.each(['/api/voice/session/create', '/api/voice/session/call-1/end'])(
    'comes at %s for more than 64 kB, there being no audio',
    async (url) => {
      const { app } = await serve();
      const payload = `{"callId":"${'x'.repeat(MAX_BODY_BYTES)}"}`;
      const headers = { 'content-type': 'application/json', host: 'localhost' };
      const { statusCode, body } = await app.inject({ method: 'POST', url, headers, payload });
      expect(statusCode).toBe(413);
      expect(JSON.parse(body)).toMatchObject({
        error: 'the body is larger than 64 kB (65536 bytes)',
        code: 'body_too_large',
        requestId: expect.any(String),
      });
    },
  );
});

describe('a body of JSON', () => {
  it.each([
    ['levels', nested(33), 'has more than 32 levels'],
    ['values', `[${'1,'.repeat(20_000)}1]`, 'has more than 32768 characters outside of strings'],
    ['blanks', `{${' '.repeat(40_000)}}`, 'has more than 32768 characters outside of strings'],
    ['quotation marks', `{"audio":"${'\\"'.repeat(1_025)}"}`, 'has more than 1024 escaped quotation marks'],
  ])('may not have too many %s', (_what, json, problem) => {
    expect(excessOf(json)).toBe(problem);
  });

  it.each([
    '',
    '{}',
    nested(32),
    `{"audio":"${'A'.repeat(100_000)}","chunkSeq":1}`,
    `{"a":"${'['.repeat(100_000)}"}`,
    `{"a":"\\\\","b":"${'{'.repeat(100)}"}`,
    '{"a":"\\\\\\"[","b":1}',
    '{"a":"no end',
  ])('may be %.40s', (json) => {
    expect(excessOf(json)).toBeUndefined();
  });

  it('is refused with 400 where it is too deep, at the route that takes 10 MB', async () => {
    const { app, seen } = await serve();
    const { statusCode, body } = await app.inject({
      method: 'POST',
      url: '/api/voice/stream/call-1',
      headers: { 'content-type': 'application/json', host: 'localhost' },
      payload: nested(5_000_000),
    });
    expect(statusCode).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ error: 'the body has more than 32 levels', code: 'invalid_json' });
    expect(seen.chunks).toEqual([]);
  });
});

describe('quote', () => {
  it.each([
    [{ a: [1, null, 'x'], b: { c: true } }, '{"a":[1,null,"x"],"b":{"c":true}}'],
    [[], '[]'],
    [{}, '{}'],
    [[[[1]]], '[[[1]]]'],
  ])('writes %j', (value, text) => {
    expect(quote(value)).toBe(text);
  });

  it('looks at no more of a value than it shows', () => {
    let read = 0;
    const list = Array.from({ length: 1_000 }, (_, i) =>
      Object.defineProperty({}, 'value', {
        enumerable: true,
        get: () => {
          read++;
          return i;
        },
      }),
    );
    expect(quote(list)).toMatch(/^\[\{"value":0\},\{"value":1\}.*…$/);
    expect(read).toBeLessThan(12);
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(quote(deep)).toBe(`${'['.repeat(77)}…`);
    expect(quote({ ['k'.repeat(1_000_000)]: 1 })).toHaveLength(78);
  });
});

describe('a connection', () => {
  const ASK = 'GET /docs/json HTTP/1.1\r\nhost: localhost\r\n\r\n';

  it('has few requests in flight, and all of them are answered in the end', async () => {
    let ended = 0;
    const { port } = await serve({ onRequestEnd: () => ended++ });
    const { socket, text } = open(port);
    await once(socket, 'connect');
    // As many as the gateway reads at once, less than would close the connection.
    socket.pause();
    socket.write(ASK.repeat(120));
    await expect.poll(() => ended).toBeGreaterThan(0);
    const unread = ended;
    socket.resume();
    await expect.poll(() => statuses(text()).length, { timeout: 20_000 }).toBe(120);
    expect(unread).toBeLessThan(120);
    expect(ended).toBe(120);
  });

  it('is closed when more requests wait than any client has', async () => {
    const { port, app } = await serve();
    const closed = new Promise<void>((resolve) => {
      app.server.once('connection', (socket: Socket) => socket.once('close', () => resolve()));
    });
    const { socket } = open(port);
    socket.pause();
    socket.write(ASK.repeat(2_000));
    await closed;
  });

  it('is closed when nobody reads its answers for half a minute, and no sooner', async () => {
    const connections = new Connections();
    // The ticks are the test's, not the clock's.
    connections.close();
    const { port, app } = await serve({ connections });
    const accepted = new Promise<Socket>((resolve) => app.server.once('connection', resolve));
    const { socket } = open(port);
    socket.pause();
    socket.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(16));
    const ours = await accepted;
    await expect.poll(() => ours.writableLength, { timeout: 20_000 }).toBeGreaterThan(1_000_000);
    // A connection on which nothing is to be sent may be as quiet as it likes.
    open(port);
    await expect.poll(() => connections.count).toBe(2);
    // The network takes what it can, and then no more.
    const settle = async () => {
      for (let before = -1; before !== ours.writableLength; ) {
        before = ours.writableLength;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    await settle();
    connections.tick();
    for (let tick = 0; tick < 29; tick++) connections.tick();
    expect(ours.destroyed).toBe(false);
    connections.tick();
    expect(ours.destroyed).toBe(true);
    await expect.poll(() => connections.count).toBe(1);
  });

  it('gives way when it is idle and there are too many', async () => {
    const connections = new Connections();
    connections.close();
    const { port } = await serve({ connections });
    connections.limit = 10;
    for (let i = 0; i < 10; i++) open(port);
    await expect.poll(() => connections.count).toBe(10);
    for (let tick = 0; tick < 4; tick++) connections.tick();
    expect(connections.count).toBe(10);
    connections.tick();
    await expect.poll(() => connections.count).toBe(0);
    const { socket, text } = open(port);
    socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await expect.poll(() => statuses(text())).toEqual([200]);
  });

  it('is one of a limited number', async () => {
    const connections = new Connections();
    const { port } = await serve({ connections });
    connections.limit = 2;
    open(port);
    open(port);
    await expect.poll(() => connections.count).toBe(2);
    await once(open(port).socket, 'close');
    expect(connections.count).toBe(2);
  });
});

describe('the name a request was sent to', () => {
  it.each(['localhost', 'LOCALHOST:3105', '127.0.0.1:3105', '127.8.9.1', '[::1]', '[::1]:80'])(
    'may be %s without a key',
    async (host) => {
      const { app } = await serve();
      expect((await app.inject({ url: '/api/voice/sessions', headers: { host } })).statusCode).toBe(200);
    },
  );

  it.each([
    'evil.example',
    'localhost.evil.example:3105',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    'localhost:x',
  ])('may not be %s without a key, whatever is asked for', async (host) => {
    const { app, seen } = await serve();
    for (const url of ['/api/voice/sessions', '/health', '/metrics', '/docs/json']) {
      const { statusCode, body } = await app.inject({ url, headers: { host } });
      expect(statusCode, url).toBe(421);
      expect(JSON.parse(body)).toMatchObject({ code: 'misdirected', requestId: expect.any(String) });
    }
    expect(seen.scopes).toEqual([]);
  });

  it('may be any where a key is asked for', async () => {
    const { app } = await serve({ keys: { operatorKey: KEY } });
    const headers = { host: 'gateway.example', 'x-api-key': KEY };
    expect((await app.inject({ url: '/api/voice/sessions', headers })).statusCode).toBe(200);
  });

  it('is one', async () => {
    const { port } = await serve();
    const { socket, text } = open(port);
    socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\nHost: evil.example\r\nconnection: close\r\n\r\n');
    await once(socket, 'close');
    expect(statuses(text())).toEqual([400]);
    expect(text()).toContain('there are several Host headers');
  });
});

describe('a page of another site', () => {
  const ROUTES = [
    ['POST', '/api/voice/session/create'],
    ['POST', '/api/voice/stream/call-1'],
    ['GET', '/api/voice/stream/call-1/response'],
    ['POST', '/api/voice/session/call-1/end'],
    ['GET', '/api/voice/session/call-1'],
    ['GET', '/api/voice/sessions'],
    ['GET', '/metrics'],
  ] as const;

  it.each([
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:8000' },
    { origin: 'file://' },
    { 'sec-fetch-site': 'cross-site' },
  ])('is refused with %j, with a key and without', async (page) => {
    for (const operatorKey of [undefined, KEY]) {
      const { app, seen } = await serve({ keys: { operatorKey } });
      for (const [method, url] of ROUTES) {
        const headers = { host: 'localhost:3105', 'x-api-key': KEY, ...page } as Record<string, string>;
        const { statusCode, body } = await app.inject({ method, url, headers });
        expect(statusCode, url).toBe(403);
        expect(JSON.parse(body)).toMatchObject({ code: 'foreign_origin', requestId: expect.any(String) });
      }
      expect(seen.scopes).toEqual([]);
    }
  });

  it.each(['/health', '/ready', '/docs', '/docs/json'])('may link to %s', async (url) => {
    const { app } = await serve();
    const headers = { host: 'localhost', origin: 'https://wiki.example', 'sec-fetch-site': 'cross-site' };
    expect((await app.inject({ url, headers })).statusCode).toBe(200);
  });

  it.each([
    { host: 'localhost:3105', origin: 'http://localhost:3105', 'sec-fetch-site': 'same-origin' },
    { host: 'LocalHost', origin: 'https://localhost' },
    { host: 'localhost', 'sec-fetch-site': 'none' },
  ])('is not what %j says', async (headers) => {
    const { app } = await serve();
    const { statusCode } = await app.inject({ url: '/api/voice/sessions', headers: headers as Record<string, string> });
    expect(statusCode).toBe(200);
  });
});

describe('the log of refusals', () => {
  it('has a line a second and address, and says how many had none', () => {
    let nowMs = 0;
    const log = new RefusalLog(() => nowMs);
    expect(log.admit('a')).toBe(0);
    expect(log.admit('a')).toBeUndefined();
    expect(log.admit('b')).toBe(1);
    for (let i = 0; i < 1_000; i++) log.admit(`address ${i}`);
    nowMs = 1_000;
    expect(log.admit('a')).toBe(982);
  });

  it('has short lines', async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write(line, _encoding, done) {
        lines.push(String(line));
        done();
      },
    });
    const { app } = await serve({ keys: { operatorKey: KEY }, logger: pino(sink) });
    for (let i = 0; i < 50; i++) {
      const { statusCode } = await app.inject({ url: `/api/voice/session/${'x'.repeat(10_000)}` });
      expect(statusCode).toBe(401);
    }
    const refused = lines.filter((line) => line.includes('access refused'));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(50);
    for (const line of refused) expect(line.length).toBeLessThan(600);
  });
});

describe('Bearer', () => {
  it.each(['a b  c', 'clé', 'a,b;c="d"'])('takes %j, as X-API-Key does', async (key) => {
    const { port } = await serve({ keys: { operatorKey: key } });
    for (const header of ['x-api-key: ', 'authorization: Bearer ', 'authorization: bEARER \t']) {
      const { socket, text } = open(port);
      const head = `GET /api/voice/sessions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${header}${key} \r\n\r\n`;
      socket.write(Buffer.from(head, 'utf8'));
      await once(socket, 'close');
      expect(statuses(text()), header).toEqual([200]);
    }
  });
});

it('knows that create is no call', async () => {
  const { app, seen } = await serve();
  const headers = { host: 'localhost', 'content-type': 'application/json' };
  const { statusCode, body } = await app.inject({
    method: 'POST',
    url: '/api/voice/session/create',
    headers,
    payload: '{"callId":"create"}',
  });
  expect(statusCode).toBe(400);
  expect(JSON.parse(body).code).toBe('invalid_field');
  expect(seen.creates).toEqual([]);
  const allowed = {
    method: 'POST',
    url: '/api/voice/session/create',
    headers,
    payload: '{"callId":"create-1"}',
  } as const;
  expect((await app.inject(allowed)).statusCode).toBe(200);
});
