import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { MAX_POLL_TIMEOUT_MS } from '../../src/http/schemas.ts';
import { selfSignedCertificate } from '../support/certificate.ts';
import { appOverRecorder } from './support.ts';

it('gives a connection a minute to bring the head of a request, and no limit to wait for its answer', async () => {
  const { app, close } = await appOverRecorder();
  try {
    const { requestTimeout, headersTimeout, timeout, keepAliveTimeout } = app.server;
    // Bodies are timed apart: some last as long as a call.
    expect(requestTimeout).toBe(0);
    expect(headersTimeout).toBe(60_000);
    // A socket that is silent while its poll waits is not cut.
    expect(timeout).toBe(0);
    expect(keepAliveTimeout).toBeGreaterThan(MAX_POLL_TIMEOUT_MS);
  } finally {
    await close();
  }
});

it('answers a request that comes too slowly, in the shape of every other error', async () => {
  const { app, close } = await appOverRecorder();
  try {
    app.server.requestTimeout = 50;
    app.server.headersTimeout = 50;
    // Known to Node, not to its types.
    Object.assign(app.server, { connectionsCheckingInterval: 10 });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as { port: number };
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('POST /api/voice/session/create HTTP/1.1\r\n'));
      let answer = '';
      socket.setEncoding('utf8');
      socket.on('data', (data) => {
        answer += data;
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toEqual({
      error: 'the request did not arrive in time',
      code: 'request_timeout',
      requestId: expect.any(String),
    });
  } finally {
    await close();
  }
});

it('says which routes it has and how they ended', async () => {
  const ends: [string, string, number][] = [];
  const { app, close } = await appOverRecorder({
    onRequestEnd: (method, route, status) => ends.push([method, route, status]),
  });
  try {
    await app.inject({ url: '/api/voice/session/call-1' });
    await app.inject({ url: '/api/voice/session/other' });
    await app.inject({ url: '/nothing/here?x=1' });
    await app.inject({ method: 'DELETE', url: '/health' });
    expect(ends).toEqual([
      ['GET', '/api/voice/session/:callId', 200],
      ['GET', '/api/voice/session/:callId', 404],
      ['GET', 'unknown', 404],
      ['DELETE', 'unknown', 405],
    ]);
  } finally {
    await close();
  }
});

it('notes at debug level whom it could not understand', async () => {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)));
      done();
    },
  });
  const logger = pino({ level: 'debug' }, sink);
  const { app, close } = await appOverRecorder({ logger, tls: selfSignedCertificate() });
  try {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as { port: number };
    // HTTP to a port that speaks HTTPS is not answered; the log is where to look.
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
    await expect
      .poll(() => lines.find(({ msg }) => msg === 'connection refused'))
      .toMatchObject({ level: 20, code: 'ERR_SSL_HTTP_REQUEST' });
  } finally {
    await close();
  }
});
