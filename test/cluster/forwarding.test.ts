import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import { DuplexCall } from '../support/duplex-call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';
import { hasRedis, type RedisServer, startRedis } from './support/redis-server.ts';

const KEY = 'the key of the operator';
const CLUSTER_KEY = 'a key that the nodes share';
const CHUNK = Buffer.alloc(3200, 1);
const headers = { 'x-api-key': KEY };
let redis: RedisServer;
let nodes: TestGateway[] = [];

const envOf = (more: Record<string, string> = {}) => ({
  SESSION_WORKERS: '1',
  DEFAULT_AGENT_REF: 'quiet',
  MAX_SESSIONS_PER_TENANT: '8',
  W3_VOICE_GATEWAY_API_KEY: KEY,
  CLUSTER_URL: redis.url,
  CLUSTER_KEY,
  ...more,
});
const start = (more?: Record<string, string>) =>
  startGateway({ env: envOf(more), simulator: { mode: 'loopback' }, profiles: { quiet: QUIET_PROFILE } });
const call = (node: number, callId: string, more = {}) =>
  new TestCall(nodes[node]!.url, callId, { ...headers, ...more });
const hostOf = (node: number) => new URL(nodes[node]!.url).host;

describe.runIf(hasRedis)('three nodes', () => {
  beforeAll(async () => {
    redis = await startRedis();
    nodes = await Promise.all([start(), start(), start()]);
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.close();
  });

  it('take any request of a call, and say where it lives', async () => {
    const created = await call(0, 'walk').create();
    expect(created).toMatchObject({
      status: 200,
      headers: { 'x-call-node': hostOf(0) },
      body: { status: 'created', streamUrl: `${nodes[0]!.url}/api/voice/stream/walk` },
    });
    const elsewhere = call(1, 'walk');
    expect(await elsewhere.create()).toMatchObject({
      headers: { 'x-call-node': hostOf(0) },
      body: { status: 'existing', nextChunkSeq: 0, streamUrl: `${nodes[0]!.url}/api/voice/stream/walk` },
    });
    for (let seq = 0; seq < 9; seq++) {
      const sent = await call(seq % 3, 'walk').send({ audio: CHUNK.toString('base64'), chunkSeq: seq });
      expect(sent).toMatchObject({ status: 200, headers: { 'x-call-node': hostOf(0) } });
    }
    const bare = await http('POST', `${nodes[2]!.url}/api/voice/stream/walk`, CHUNK, {
      ...headers,
      'content-type': 'audio/pcm;rate=16000',
      'x-chunk-seq': '9',
    });
    expect(bare.status).toBe(200);
    expect((await call(2, 'walk').create()).body.nextChunkSeq).toBe(10);
    // The agent repeats what it hears.
    await elsewhere.pollUntil((one) => one.heard.length > 0, 'timeout=1000&ack=-1');
    expect((await call(2, 'walk').info()).body).toMatchObject({ callId: 'walk', status: 'active' });
    const bad = await call(1, 'walk').send({ audio: 'AAAA', chunkSeq: 10 });
    expect(bad).toMatchObject({ status: 400, body: { code: 'invalid_audio' } });
    const ended = await call(1, 'walk').end();
    expect(ended.body).toMatchObject({ status: 'ended', summary: { callId: 'walk' } });
    expect((await call(2, 'walk').end()).body).toEqual(ended.body);
    expect((await call(1, 'walk').poll()).body).toMatchObject({ hasMore: false, endReason: 'completed' });
    expect(await call(1, 'walk').send(CHUNK)).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    expect((await call(2, 'walk').create()).body.status).toBe('created');
    expect(await call(0, 'walk').info()).toMatchObject({ status: 200, headers: { 'x-call-node': hostOf(2) } });
    await call(0, 'walk').end();
  });

  it('answer for a call that nobody has as one gateway does', async () => {
    expect(await call(1, 'nobody').send(CHUNK)).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    expect(await call(2, 'nobody').poll()).toMatchObject({ status: 404, body: { hasMore: false } });
  });

  it('open one session for creates that come to all of them at once', async () => {
    const before = nodes.reduce((sum, { simulator }) => sum + simulator.stats.connectionsTotal, 0);
    const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => call(at % 3, 'rush').create()));
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
    expect(answers.filter(({ body }) => body.status === 'created')).toHaveLength(1);
    expect(nodes.reduce((sum, { simulator }) => sum + simulator.stats.connectionsTotal, 0)).toBe(before + 1);
    await call(0, 'rush').end();
  });

  it('list the calls of all, and hold a tenant to its limit over all', async () => {
    for (let at = 0; at < 8; at++) await call(at % 3, `many-${at}`).create({ tenantId: 'acme' });
    await call(0, 'other').create({ tenantId: 'globex' });
    const refused = await call(1, 'many-8').create({ tenantId: 'acme' });
    expect(refused).toMatchObject({ status: 429, body: { code: 'tenant_full' } });
    for (const { url } of nodes) {
      const all = await http('GET', `${url}/api/voice/sessions`, undefined, headers);
      expect(all.body.count).toBe(9);
      const own = await http('GET', `${url}/api/voice/sessions`, undefined, { ...headers, 'x-tenant-id': 'globex' });
      expect(own.body.sessions).toMatchObject([{ callId: 'other', tenantId: 'globex' }]);
    }
    const foreign = call(2, 'many-0', { 'x-tenant-id': 'globex' });
    expect((await foreign.info()).status).toBe(404);
    await Promise.all(Array.from({ length: 8 }, (_, at) => call(2, `many-${at}`).end()));
    expect((await call(1, 'many-8').create({ tenantId: 'acme' })).status).toBe(200);
    await call(0, 'many-8').end();
    await call(1, 'other').end();
  });

  it('let a client go whose poll another node holds open', async () => {
    await call(0, 'long').create();
    const gone = new AbortController();
    const poll = fetch(`${nodes[1]!.url}/api/voice/stream/long/response?timeout=60000`, {
      headers,
      signal: gone.signal,
    }).catch((error: Error) => error.name);
    await new Promise((resolve) => setTimeout(resolve, 100));
    gone.abort();
    expect(await poll).toBe('AbortError');
    // What comes then is there for whoever polls next.
    await call(1, 'long').send(CHUNK);
    await call(2, 'long').pollUntil((one) => one.heard.length > 0);
    await call(1, 'long').end();
  });

  it('pass a streamed call on in both directions', async () => {
    await call(0, 'stream').create();
    const phone = new DuplexCall(nodes[1]!.url, 'stream', {
      format: { encoding: 'pcm16', sampleRateHz: 16_000 },
      contentType: 'audio/pcm;rate=16000',
      headers,
    });
    const head = await phone.answered;
    expect(head.statusCode).toBe(200);
    expect(head.headers).toMatchObject({ 'x-call-node': hostOf(0), 'x-lead-ms': '120' });
    void phone.speakOn().say(Buffer.alloc(32_000, 5));
    await expect
      .poll(() => phone.arrivals.some(({ bytes }) => bytes.some((byte) => byte === 5)), { timeout: 10_000 })
      .toBe(true);
    await call(2, 'stream').end();
    expect(await phone.over).toBe(true);
    const created = new DuplexCall(nodes[2]!.url, 'made', {
      format: { encoding: 'pcm16', sampleRateHz: 16_000 },
      contentType: 'audio/pcm;rate=16000',
      query: '?create=1',
      headers,
    });
    expect((await created.answered).headers['x-call-node']).toBe(hostOf(2));
    expect((await call(0, 'made').info()).status).toBe(200);
    created.hangUp();
    await expect.poll(async () => (await call(0, 'made').info()).body.status).toBe('ended');
  });

  it('believe nobody who claims to be a node', async () => {
    await call(0, 'guarded').create();
    const forged = {
      'x-cluster-node': 'somebody',
      'x-cluster-scope': encodeURIComponent('{}'),
      'x-cluster-proof': Buffer.alloc(32).toString('base64url'),
    };
    const url = `${nodes[0]!.url}/api/voice/session/guarded`;
    expect((await http('GET', url, undefined, forged)).status).toBe(401);
    expect((await http('GET', url, undefined, { ...forged, 'x-api-key': 'wrong' })).status).toBe(403);
    await call(0, 'guarded').end();
  });

  it('take no node with another key, or with the address of another', async () => {
    await expect(start({ CLUSTER_KEY: 'some other key, of another cluster' })).rejects.toThrow(
      /CLUSTER_KEY is not that of the cluster at CLUSTER_URL/,
    );
    await expect(start({ NODE_URL: nodes[0]!.url })).rejects.toThrow(/another node of the cluster has it already/);
    expect((await http('GET', `${nodes[0]!.url}/ready`)).body).toEqual({ ready: true });
  });
});

it.runIf(hasRedis)('says so where there is no Redis', async () => {
  const env = { ...envOf(), CLUSTER_URL: 'redis://:secret@127.0.0.1:1' };
  const failed = startGateway({ env, simulator: { mode: 'loopback' }, profiles: { quiet: QUIET_PROFILE } });
  await expect(failed).rejects.toThrow(
    /^CLUSTER_URL is "redis:\/\/…@127.0.0.1:1\/?", but Redis cannot be used there: .*ECONNREFUSED/,
  );
});
