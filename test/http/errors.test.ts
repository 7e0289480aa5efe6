import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallError, sessionNotFound } from '../../src/call/errors.ts';
import { ApiError, fromCallError } from '../../src/http/errors.ts';
import { type ApiErrorCode, FAILURES } from '../../src/http/failures.ts';
import { quote } from '../../src/http/quote.ts';
import { MAX_AUDIO_BODY_BYTES } from '../../src/http/schemas.ts';
import { http } from '../support/call.ts';
import { appOverRecorder } from './support.ts';

describe('ApiError', () => {
  it('has the status of its code', () => {
    for (const [code, { status }] of Object.entries(FAILURES)) {
      expect(new ApiError(code as ApiErrorCode, 'x').statusCode).toBe(status);
      expect(code).toMatch(/^[a-z_]+$/);
    }
  });

  it('keeps its cause', () => {
    const cause = new Error('why');
    expect(new ApiError('internal', 'x', { cause }).cause).toBe(cause);
    expect(fromCallError(new CallError('invalid_audio', { why: 'x' }, { cause })).cause).toBe(cause);
  });

  it('carries the status words of the published API', () => {
    expect(fromCallError(sessionNotFound('c')).fields).toEqual({ status: 'session_not_found', hasMore: false });
    expect(new ApiError('invalid_audio', 'x').fields).toEqual({ status: 'invalid_audio' });
  });

  it('quotes values so that they can be read, and cuts long ones', () => {
    expect(quote('a "b"')).toBe('"a \\"b\\""');
    expect(quote(undefined)).toBe('undefined');
    expect(quote(null)).toBe('null');
    expect(quote('x'.repeat(500))).toHaveLength(78);
    expect(quote('\u0000\n')).toBe('"\\u0000\\n"');
  });
});

describe('answers to what is no request of the API', () => {
  let server: Awaited<ReturnType<typeof appOverRecorder>>;
  let base: string;
  beforeAll(async () => {
    server = await appOverRecorder();
    await server.app.listen({ host: '127.0.0.1', port: 0 });
    const address = server.app.server.address() as { port: number };
    base = `http://127.0.0.1:${address.port}`;
  });
  afterAll(() => server.close());

  /** Writes bytes to a connection and returns everything that comes back until it is closed. */
  function exchange(...parts: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(new URL(base).port), '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1');
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      for (const part of parts) socket.write(part, 'latin1');
    });
  }

  function parse(text: string) {
    const [head = '', body = ''] = text.split('\r\n\r\n');
    return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body: JSON.parse(body) };
  }

  it('tells a path that does not exist', async () => {
    const { status, body } = await http('GET', `${base}/api/voice/nothing?x=1`);
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: 'there is no "/api/voice/nothing"; see /docs', code: 'not_found' });
  });

  it.each([
    ['POST', 'text/plain', 'x'],
    ['PUT', 'application/json', '{'],
    ['PATCH', 'audio/wav', 'x'],
    ['DELETE', 'application/json', ''],
  ])('tells it whatever the body: %s %s', async (method, type, body) => {
    expect((await http(method, `${base}/nothing`, body, { 'content-type': type })).status).toBe(404);
  });

  it.each([
    ['GET', '/api/voice/session/x/end', 'POST'],
    ['DELETE', '/api/voice/session/x', 'GET, HEAD'],
    ['POST', '/api/voice/sessions', 'GET, HEAD'],
    ['POST', '/api/voice/stream/x/response', 'GET'],
    ['HEAD', '/api/voice/stream/x/response', 'GET'],
    ['PUT', '/api/voice/stream/x', 'POST'],
    ['OPTIONS', '/api/voice/session/create', 'POST'],
    ['GET', '/api/voice/session/create', 'POST'],
    ['HEAD', '/api/voice/session/create', 'POST'],
    ['DELETE', '/api/voice/session/create', 'POST'],
    ['POST', '/health', 'GET, HEAD'],
  ])('refuses %s %s and names the methods: %s', async (method, path, allow) => {
    const answer = await fetch(base + path, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(allow);
    if (method === 'HEAD') return;
    const body = (await answer.json()) as { code: string; error: string };
    expect(body.code).toBe('method_not_allowed');
    expect(body.error).toBe(`the method is ${method}, but "${path}" takes ${allow}; see /docs`);
  });

  it.each(['/health', '/ready', '/api/voice/sessions', '/api/voice/session/call-1'])(
    'answers HEAD %s',
    async (path) => {
      const answer = await fetch(base + path, { method: 'HEAD' });
      expect(answer.status).toBe(200);
      expect(await answer.text()).toBe('');
    },
  );

  it.each([
    ['/api/voice/session/create', 'text/plain', 'application/json'],
    ['/api/voice/session/create', 'application/x-www-form-urlencoded', 'application/json'],
    ['/api/voice/session/create', 'audio/wav', 'application/json'],
    ['/api/voice/stream/call-1', 'audio/mpeg', 'application/json, or for unencoded audio one of audio/wav, '],
    ['/api/voice/stream/call-1', 'application/octet-stream', 'application/json, or for unencoded audio one of '],
    ['/api/voice/stream/call-1', 'nonsense', 'application/json'],
  ])('refuses at %s a body of the type %s', async (path, type, allowed) => {
    const { status, body } = await http('POST', base + path, '{}', { 'content-type': type });
    expect(status).toBe(415);
    expect(body.code).toBe('unsupported_media_type');
    expect(body.error).toContain(`Content-Type is "${type}", but must be ${allowed}`);
  });

  it('asks for a type when there is none', async () => {
    const text = await exchange(
      'POST /api/voice/session/create HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}',
    );
    expect(parse(text)).toMatchObject({
      status: 415,
      body: { error: 'Content-Type is missing, but must be application/json' },
    });
  });

  it('does not unpack bodies', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const { status, body } = await http('POST', `${base}/api/voice/session/create`, '{}', headers);
    expect(status).toBe(415);
    expect(body.error).toBe('Content-Encoding is "gzip", but bodies are read as is');
  });

  it.each([
    ['declared', { 'content-type': 'application/json' }],
    ['of bare audio', { 'content-type': 'audio/pcm' }],
  ])('refuses a body over 10 MB, %s', async (_what, headers) => {
    const body = Buffer.alloc(MAX_AUDIO_BODY_BYTES + 1, 0x20);
    const answer = await http('POST', `${base}/api/voice/stream/call-1`, body, headers);
    expect(answer.status).toBe(413);
    expect(answer.body).toMatchObject({
      error: 'the body is larger than 10 MB (10485760 bytes)',
      code: 'body_too_large',
      requestId: expect.any(String),
    });
  });

  it('lets a client finish a body that is too large, so that it can read why, and go on', async () => {
    const size = 12_000_000;
    const text = await exchange(
      `POST /api/voice/stream/call-1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: audio/pcm\r\ncontent-length: ${size}\r\n\r\n`,
      'x'.repeat(size),
      'GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
    );
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
    expect(statuses).toEqual(['413', '200']);
  });

  it('refuses a body over 10 MB of which no length is known', async () => {
    const chunk = `${(1 << 20).toString(16)}\r\n${' '.repeat(1 << 20)}\r\n`;
    const text = await exchange(
      'POST /api/voice/stream/call-1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n',
      ...Array.from({ length: 11 }, () => chunk),
      '0\r\n\r\n',
    ).catch((error: NodeJS.ErrnoException) => {
      // The answer may be lost with the rest of a body that nobody reads any more.
      expect(error.code).toMatch(/ECONNRESET|EPIPE/);
      return undefined;
    });
    if (text !== undefined) expect(parse(text)).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
  });

  it('takes a body of 10 MB', async () => {
    const headers = { 'content-type': 'audio/pcm' };
    const answer = await http('POST', `${base}/api/voice/stream/call-1`, Buffer.alloc(MAX_AUDIO_BODY_BYTES), headers);
    expect(answer.status).toBe(200);
    expect(server.seen.chunks.at(-1)?.audio?.data).toHaveLength(MAX_AUDIO_BODY_BYTES);
  });

  it('answers what is not HTTP', async () => {
    const answer = parse(await exchange('HELO gateway\r\n\r\n'));
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      error: 'the request is not valid HTTP/1.1: Invalid method encountered',
      code: 'bad_request',
      requestId: expect.any(String),
    });
    expect(answer.head).toContain('content-type: application/json');
    expect(answer.head).toContain(`x-request-id: ${answer.body.requestId}`);
  });

  it('says so where the Host header is missing, which HTTP/1.0 does not have', async () => {
    const refused = parse(await exchange('GET /health HTTP/1.1\r\nconnection: close\r\n\r\n'));
    expect(refused).toMatchObject({ status: 400, body: { error: 'the Host header is missing', code: 'bad_request' } });
    expect(parse(await exchange('GET /health HTTP/1.0\r\n\r\n')).status).toBe(200);
  });

  it('answers a request of which only a part comes', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (data) => {
      text += data;
    });
    const head = 'POST /api/voice/stream/call-1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
    socket.end(`${head}content-length: 100\r\n\r\n{"audio":`);
    await once(socket, 'close');
    expect(parse(text)).toMatchObject({
      status: 400,
      body: { error: 'the connection ended in the middle of the request', code: 'bad_request' },
    });
  });

  it.each(['100-continue', 'a-miracle'])('serves a client that expects %s', async (expected) => {
    const head = 'POST /api/voice/session/create HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
    const text = await exchange(
      `${head}connection: close\r\nexpect: ${expected}\r\ncontent-length: 16\r\n\r\n`,
      '{"callId":"c-1"}',
    );
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
    expect(text.startsWith(interim)).toBe(expected === '100-continue');
    expect(parse(text.replace(interim, ''))).toMatchObject({ status: 200, body: { sessionId: 'c-1' } });
  });

  it('answers headers that are too large', async () => {
    const answer = parse(
      await exchange(`GET /health HTTP/1.1\r\nhost: localhost\r\nx-filler: ${'x'.repeat(20_000)}\r\n\r\n`),
    );
    expect(answer).toMatchObject({ status: 431, body: { code: 'headers_too_large' } });
  });

  it('outlives a client that hangs up in the middle of its body', async () => {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(new URL(base).port), '127.0.0.1', () => {
        socket.write(
          'POST /api/voice/stream/call-1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"audio":',
          () => socket.destroy(),
        );
      });
      socket.on('close', () => resolve());
      socket.on('error', reject);
    });
    expect((await http('GET', `${base}/health`)).status).toBe(200);
  });

  it("gives every answer an id: the client's own, where that is a plain word", async () => {
    const url = `${base}/api/voice/session/other`;
    const own = await http('GET', url, undefined, { 'x-request-id': 'switch-7/42' });
    expect(own.headers['x-request-id']).toBe('switch-7/42');
    expect(own.body.requestId).toBe('switch-7/42');
    for (const bad of ['two words', 'x'.repeat(129), 'é']) {
      const answer = await http('GET', url, undefined, { 'x-request-id': bad });
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(answer.body.requestId).toBe(answer.headers['x-request-id']);
    }
  });

  it('lets nothing internal out', async () => {
    const { status, body } = await http('GET', `${base}/api/voice/session/call-1/events`);
    expect(status).toBe(500);
    expect(body).toEqual({
      error: 'the gateway failed to answer; its log has the reason under this requestId',
      code: 'internal',
      requestId: expect.any(String),
    });
  });
});

describe('POST /end', () => {
  let server: Awaited<ReturnType<typeof appOverRecorder>>;
  beforeAll(async () => {
    server = await appOverRecorder();
  });
  afterAll(() => server.close());

  it.each([
    [undefined, {}],
    ['', { 'content-type': 'application/json' }],
    ['', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['', { 'content-type': 'text/plain' }],
    ['{}', { 'content-type': 'application/json' }],
    ['{"reason":"hangup"}', { 'content-type': 'application/json' }],
    ['not json', { 'content-type': 'application/json' }],
    ['cause=NORMAL_CLEARING', { 'content-type': 'application/x-www-form-urlencoded' }],
  ])('takes the body %j with %j', async (payload, headers) => {
    const { statusCode, body } = await server.app.inject({
      method: 'POST',
      url: '/api/voice/session/call-1/end',
      headers: headers as Record<string, string>,
      ...(payload === undefined ? {} : { payload }),
    });
    expect(statusCode).toBe(200);
    expect(JSON.parse(body).status).toBe('ended');
  });
});
