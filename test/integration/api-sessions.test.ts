import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { terminateWorkerOf } from '../support/worker-threads.ts';

const CHUNK = Buffer.alloc(3200, 1);
let gateway: TestGateway;

async function start(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { env = {}, simulator = {}, profiles = {}, ...rest } = options;
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet', ...env },
    simulator: { mode: 'loopback', ...simulator },
    profiles: { quiet: QUIET_PROFILE, ...profiles },
    ...rest,
  });
  return gateway;
}
const call = (callId = 'call-1', headers = {}) => new TestCall(gateway.url, callId, headers);

afterEach(() => gateway.stop());

describe('creating', () => {
  it('answers when the upstream is ready, and `existing` from then on', async () => {
    await start();
    const first = await call().create();
    expect(first).toMatchObject({ status: 200, body: { sessionId: 'call-1', status: 'created', nextChunkSeq: 0 } });
    expect(gateway.simulator.stats.connectionsOpen).toBe(1);
    await call().send({ audio: CHUNK.toString('base64'), chunkSeq: 0 });
    const second = await call().create({ aiAgentRef: 'whatever' });
    expect(second.body).toEqual({ sessionId: 'call-1', status: 'existing', nextChunkSeq: 1 });
    expect(gateway.simulator.stats.connectionsTotal).toBe(1);
  });

  it('opens one session for concurrent duplicates', async () => {
    await start({ simulator: { faults: { handshakeDelayMs: 50 } } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => call().create()));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(answers.filter(({ body }) => body.status === 'created')).toHaveLength(1);
    expect(gateway.simulator.stats.connectionsTotal).toBe(1);
    expect((await http('GET', `${gateway.url}/api/voice/sessions`)).body.count).toBe(1);
  });

  it('starts a new session after the end of one, also when many ask at once', async () => {
    await start({ simulator: { faults: { handshakeDelayMs: 20 } } });
    await call().create();
    await call().end();
    const answers = await Promise.all(Array.from({ length: 10 }, () => call().create()));
    expect(answers.filter(({ body }) => body.status === 'created')).toHaveLength(1);
    expect(gateway.simulator.stats.connectionsTotal).toBe(2);
    expect((await call().info()).body.status).toBe('active');
  });

  it('takes the place of a session whose last words nobody fetched', async () => {
    await start({ profiles: { quiet: { ...QUIET_PROFILE, maxCallSeconds: 1 } } });
    const old = call();
    await old.create();
    await old.send(CHUNK);
    // The reply that came back keeps the session until it is fetched.
    await expect.poll(async () => (await old.info()).body.status, { timeout: 15_000 }).toBe('ending');
    const answers = await Promise.all(Array.from({ length: 5 }, () => call().create()));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(answers.filter(({ body }) => body.status === 'created')).toHaveLength(1);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(1);
  });

  it('tells which agent it does not know', async () => {
    await start();
    const { status, body } = await call().create({ aiAgentRef: 'nobody' });
    expect(status).toBe(404);
    expect(body).toMatchObject({
      error: 'aiAgentRef is "nobody", but there is no such agent profile',
      code: 'agent_not_found',
    });
    expect((await call().info()).status).toBe(404);
  });

  it.each([
    ['pcmu', 16_000],
    ['pcma', 48_000],
  ])('refuses %s at %i Hz', async (encoding, sampleRate) => {
    await start();
    const { status, body } = await call().create({ encoding, sampleRate });
    expect(status).toBe(400);
    expect(body.error).toBe(`sampleRate is ${sampleRate}, but must be 8000 with encoding ${encoding}`);
  });

  it('leaves no session behind when the upstream refuses', async () => {
    await start({ simulator: { apiKeys: ['another key'] } });
    const answers = await Promise.all([call().create(), call().create()]);
    for (const { status, body } of answers) {
      expect(status).toBe(502);
      expect(body.code).toBe('upstream_refused');
      expect(body.error).not.toContain('test-key-of-the-simulator');
    }
    expect((await call().info()).status).toBe(404);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(0);
  });

  it('leaves no session behind when the upstream is too slow', async () => {
    await start({ env: { CREATE_TIMEOUT_MS: '300' }, simulator: { faults: { handshakeDelayMs: 60_000 } } });
    const { status, body } = await call().create();
    expect(status).toBe(504);
    expect(body).toMatchObject({ error: 'the AI was not ready within 300 ms', code: 'upstream_timeout' });
    expect((await call().info()).status).toBe(404);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(0);
  });

  it.each(['dedicated', '1'])(
    'says nothing of its inside when the thread dies that creates one: %s',
    async (workers) => {
      const env = { SESSION_WORKERS: workers, CREATE_TIMEOUT_MS: '20000' };
      await start({ env, simulator: { faults: { handshakeDelayMs: 60_000 } } });
      const creating = call().create();
      await expect.poll(() => terminateWorkerOf(gateway, 'call-1').catch(() => false)).toBe(true);
      const { status, body } = await creating;
      expect(status).toBe(500);
      expect(body).toEqual({
        error: 'the session could not be opened; the log has the reason',
        code: 'internal',
        requestId: expect.any(String),
      });
      expect((await call().info()).status).toBe(404);
      gateway.simulator.setDefaultFaults({});
      expect((await call().create()).body.status).toBe('created');
    },
  );

  it('lets a call be ended while it is created', async () => {
    await start({ simulator: { faults: { handshakeDelayMs: 60_000 } }, env: { CREATE_TIMEOUT_MS: '20000' } });
    const creating = call().create();
    await expect.poll(async () => (await call().info()).status).toBe(200);
    expect((await call().info()).body.status).toBe('creating');
    const ended = await call().end();
    expect(ended).toMatchObject({ status: 200, body: { status: 'ended', summary: { callId: 'call-1' } } });
    const { status, body } = await creating;
    expect(status).toBe(404);
    expect(body.error).toBe('callId is "call-1", but it was ended before it was ready');
    expect((await call().end()).body).toEqual(ended.body);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(0);
    // Both limits were given back once, not twice.
    gateway.simulator.setDefaultFaults({});
    expect((await call('call-2').create()).status).toBe(200);
    expect((await http('GET', `${gateway.url}/health`)).body.sessions).toBe(1);
  });
});

describe('a create that nobody waits for any more', () => {
  const greeting = { say: 'Good morning, this is customer care. How can I help you?' };
  const profiles = { quiet: { ...QUIET_PROFILE, greeting } };

  /** Asks for a call and goes away as soon as the gateway has begun with it. */
  async function abandon(callId: string): Promise<void> {
    const begun = gateway.simulator.stats.connectionsTotal;
    const leaving = new AbortController();
    const answer = fetch(`${gateway.url}/api/voice/session/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ callId }),
      signal: leaving.signal,
    });
    await expect.poll(async () => (await call(callId).info()).body.status).toBe('creating');
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(() => gateway.simulator.stats.connectionsTotal).toBe(begun + 1);
  }

  it('leaves room for others soon, with a summary and nothing to fetch', async () => {
    await start({
      env: { MAX_SESSIONS: '1' },
      simulator: { mode: 'scripted', faults: { handshakeDelayMs: 500 } },
      profiles,
    });
    await abandon('gone');
    expect((await call('next').create()).status).toBe(503);
    await expect.poll(async () => (await call('next').create()).status).toBe(200);
    expect((await call('gone').info()).body).toMatchObject({ status: 'ended', endReason: 'idle', queuedAudioMs: 0 });
    expect((await call('gone').end()).body.summary).toMatchObject({ endReason: 'idle', actions: [] });
    expect(gateway.simulator.stats.connectionsOpen).toBe(1);
  });

  it('is found by a client that asks again, and kept', async () => {
    await start({ simulator: { faults: { handshakeDelayMs: 500 } } });
    await abandon('again');
    expect((await call('again').create()).body.status).toBe('existing');
    // Longer than an abandoned one is kept.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect((await call('again').info()).body.status).toBe('active');
    expect(gateway.simulator.stats.connectionsTotal).toBe(1);
  });

  it('does not wait at its end for a client that has never come, though it was answered', async () => {
    await start({
      env: { MAX_SESSIONS: '1', FIRST_AUDIO_TIMEOUT_MS: '1000' },
      simulator: { mode: 'scripted' },
      profiles,
    });
    await call('silent').create();
    await expect.poll(async () => (await call('next').create()).status).toBe(200);
    expect((await call('silent').info()).body).toMatchObject({ status: 'ended', endReason: 'idle' });
  });
});

describe('limits', () => {
  it('refuses calls over MAX_SESSIONS with 503 and Retry-After, and takes them again', async () => {
    await start({ env: { MAX_SESSIONS: '2' } });
    await call('a').create();
    await call('b').create();
    const refused = await call('c').create();
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect(refused.body).toMatchObject({
      error: 'the gateway has 2 calls already, its limit',
      code: 'gateway_full',
    });
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(503);
    expect((await call('a').create()).body.status).toBe('existing');
    expect((await call('a').send(CHUNK)).status).toBe(200);
    await call('a').end();
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    expect((await call('c').create()).status).toBe(200);
  });

  it('holds under concurrency', async () => {
    await start({ env: { MAX_SESSIONS: '3' } });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => call(`c${i}`).create()));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(answers.filter(({ body }) => body.code === 'gateway_full')).toHaveLength(9);
  });

  it('refuses calls over MAX_SESSIONS_PER_TENANT with 429, of that tenant only', async () => {
    await start({ env: { MAX_SESSIONS_PER_TENANT: '1' } });
    const t1 = { 'x-tenant-id': 't1' };
    await call('a', t1).create();
    const refused = await call('b', t1).create();
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect(refused.body).toMatchObject({ error: 'this tenant has 1 calls already, its limit', code: 'tenant_full' });
    expect((await call('b', { 'x-tenant-id': 't2' }).create()).status).toBe(200);
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    await call('a', t1).end();
    expect((await call('b', t1).create()).status).toBe(200);
  });
});

describe('looking at sessions', () => {
  it('shows one', async () => {
    await start();
    await call().create({ tenantId: 't1', encoding: 'pcmu' });
    const before = (await call().info()).body;
    expect(before).toEqual({
      callId: 'call-1',
      tenantId: 't1',
      status: 'active',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      lastActivity: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      transcriptCount: 0,
      actionsCount: 0,
      aiAgentRef: 'quiet',
      encoding: 'pcmu',
      sampleRate: 8000,
      generation: 0,
      queuedAudioMs: 0,
    });
    await call().send(CHUNK);
    const after = (await call().info()).body;
    expect(Date.parse(after.lastActivity)).toBeGreaterThanOrEqual(Date.parse(before.lastActivity));
  });

  it('lists all of them, or the first few and how many there are', async () => {
    await start();
    for (const callId of ['a', 'b', 'c']) await call(callId).create();
    await call('b').end();
    const all = await http('GET', `${gateway.url}/api/voice/sessions`);
    expect(all.body.count).toBe(2);
    expect(all.body.sessions.map(({ callId }: { callId: string }) => callId)).toEqual(['a', 'c']);
    const some = await http('GET', `${gateway.url}/api/voice/sessions?limit=1`);
    expect(some.body.sessions).toHaveLength(1);
    expect(some.body.count).toBe(2);
    for (const limit of ['0', '-1', 'x', '']) {
      expect((await http('GET', `${gateway.url}/api/voice/sessions?limit=${limit}`)).status).toBe(400);
    }
  });

  it('knows calls by any name that is allowed, percent-encoded or not', async () => {
    await start();
    for (const callId of ['a:b@c.d', '7~x+y=z*q!r-s', `x${'y'.repeat(127)}`]) {
      expect((await call(callId).create()).status).toBe(200);
      for (const path of [callId, encodeURIComponent(callId)]) {
        const { status, body } = await http('GET', `${gateway.url}/api/voice/session/${path}`);
        expect(status).toBe(200);
        expect(body.callId).toBe(callId);
      }
      expect((await http('POST', `${gateway.url}/api/voice/session/${encodeURIComponent(callId)}/end`)).status).toBe(
        200,
      );
    }
  });
});

describe('ending', () => {
  it('gives the same summary again, and remembers the call for its polls', async () => {
    await start();
    await call().create();
    await call().send(CHUNK);
    const ended = await call().end();
    expect(ended).toMatchObject({
      status: 200,
      body: {
        status: 'ended',
        summary: { callId: 'call-1', transcript: [], actions: [], endReason: 'completed' },
      },
    });
    expect(Number.isInteger(ended.body.summary.duration)).toBe(true);
    expect((await call().end()).body).toEqual(ended.body);
    const poll = await call().poll();
    expect(poll.body).toEqual({ seq: expect.any(Number), generation: 0, hasMore: false, endReason: 'completed' });
    const chunk = await call().send(CHUNK);
    expect(chunk.status).toBe(404);
    expect(chunk.body).toMatchObject({
      status: 'session_not_found',
      error: 'callId is "call-1", but its session has ended (completed)',
    });
    expect((await call().send(CHUNK, '?poll=1')).status).toBe(404);
    expect((await call().info()).body).toMatchObject({ status: 'ended', endReason: 'completed' });
    await expect.poll(() => gateway.simulator.stats.connectionsOpen).toBe(0);
  });

  it('ends once for many who ask at the same time', async () => {
    await start();
    await call().create();
    const answers = await Promise.all(Array.from({ length: 10 }, () => call().end()));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  });

  it('completes a poll that waits', async () => {
    await start();
    await call().create();
    const waiting = call().poll('timeout=20000');
    await call().poll('timeout=0&ack=-1');
    const other = call().poll('timeout=20000');
    await call().end();
    expect((await waiting).body.hasMore).toBe(true);
    expect((await other).body).toMatchObject({ hasMore: false, endReason: 'completed' });
  });

  it('is an error for a call it does not know', async () => {
    await start();
    const { status, body } = await call('nobody').end();
    expect(status).toBe(404);
    expect(body).toMatchObject({ status: 'session_not_found', hasMore: false, code: 'session_not_found' });
    const poll = await call('nobody').poll();
    expect(poll.status).toBe(404);
    expect(poll.body.hasMore).toBe(false);
  });
});

describe('a call that ends by itself', () => {
  it('ends when nobody asks anything for SESSION_IDLE_TIMEOUT_MS, and keeps its summary', async () => {
    await start({ env: { SESSION_IDLE_TIMEOUT_MS: '1200' } });
    await call().create();
    await call().send(CHUNK);
    await call().poll();
    await expect.poll(async () => (await call().info()).body.status, { timeout: 15_000 }).not.toBe('active');
    expect((await call().info()).body.endReason).toBe('idle');
    const summary = await call().end();
    expect(summary.body.summary.endReason).toBe('idle');
    await expect.poll(() => gateway.simulator.stats.connectionsOpen).toBe(0);
  });

  it('is not idle while a poll waits', async () => {
    await start({ env: { SESSION_IDLE_TIMEOUT_MS: '1200' } });
    await call().create();
    await call().send({ dtmf: '1' });
    await call().send({ audio: Buffer.alloc(8).toString('base64') });
    const poll = await call().poll('timeout=4000');
    expect(poll.body.hasMore).toBe(true);
    expect((await call().info()).body.status).toBe('active');
  });

  it('ends when it never sends audio', async () => {
    await start({ env: { FIRST_AUDIO_TIMEOUT_MS: '1000' } });
    await call().create();
    const { body } = await call().poll('timeout=20000');
    expect(body).toMatchObject({
      hasMore: false,
      endReason: 'idle',
      error: 'the client sent no audio within 1000 ms',
    });
  });

  it('still takes chunks from a client that has not heard of it', async () => {
    await start({ profiles: { quiet: { ...QUIET_PROFILE, maxCallSeconds: 1 } } });
    await call().create();
    await call().send(CHUNK);
    const { body } = await call().poll('timeout=0');
    expect(body.hasMore).toBe(true);
    let last = body;
    while (last.hasMore) last = (await call().poll('timeout=10000')).body;
    expect(last).toMatchObject({ hasMore: false, endReason: 'max_duration' });
    // The poll has said it, another thread of the client may not know yet.
    expect((await call().send(CHUNK)).body).toMatchObject({ status: 'streamed' });
    expect((await call().send(CHUNK, '?poll=1')).body).toMatchObject({
      status: 'streamed',
      hasMore: false,
      endReason: 'max_duration',
    });
    expect((await call().end()).body.summary.endReason).toBe('max_duration');
    expect((await call().send(CHUNK)).status).toBe(404);
  });
});

describe('clients of every kind', () => {
  /** One request as raw text; resolves with the whole answer. */
  function raw(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1', () => socket.write(text));
      let answer = '';
      socket.setEncoding('utf8');
      socket.on('data', (data) => {
        answer += data;
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  }

  it('may speak HTTP/1.0, pipeline, and send a byte at a time', async () => {
    await start();
    await call().create();
    expect(await raw('GET /api/voice/session/call-1 HTTP/1.0\r\n\r\n')).toContain('"callId":"call-1"');
    const pipelined = await raw(
      'GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
    );
    expect(pipelined.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    const body = JSON.stringify({ audio: CHUNK.toString('base64') });
    const slow = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
      const bytes = `POST /api/voice/stream/call-1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
      let at = 0;
      let answer = '';
      const next = () => {
        if (at >= bytes.length) return;
        socket.write(bytes.slice(at, at + 97), next);
        at += 97;
      };
      socket.setNoDelay(true);
      socket.on('connect', next);
      socket.on('data', (data) => {
        answer += data;
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
    expect(slow).toContain('"status":"streamed"');
  });
});
