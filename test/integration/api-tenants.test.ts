import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const OPERATOR = 'the-operators-key';
const KEYS = { acme: 'key-of-acme', beta: 'key-of-beta' };
const AUDIO = Buffer.alloc(640, 1).toString('base64');

let gateway: TestGateway;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'api-keys-'));
  const keysFile = join(folder, 'keys.json');
  const entries = Object.entries(KEYS).map(([tenantId, key]) => ({
    name: `${tenantId} switch`,
    sha256: createHash('sha256').update(key).digest('hex'),
    tenantId,
  }));
  writeFileSync(keysFile, JSON.stringify(entries));
  gateway = await startGateway({
    env: {
      W3_VOICE_GATEWAY_API_KEY: OPERATOR,
      API_KEYS_FILE: keysFile,
      SESSION_WORKERS: '1',
      DEFAULT_AGENT_REF: 'quiet',
    },
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
  });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Headers = Record<string, string>;
const operator: Headers = { 'x-api-key': OPERATOR };
const acme: Headers = { 'x-api-key': KEYS.acme };
const beta: Headers = { authorization: `Bearer ${KEYS.beta}` };

/** Every route that needs a key, for one call. */
const ROUTES: Record<string, (callId: string, headers: Headers) => Promise<Answer>> = {
  'POST create': (callId, headers) => http('POST', `${gateway.url}/api/voice/session/create`, { callId }, headers),
  'POST stream': (callId, headers) =>
    http('POST', `${gateway.url}/api/voice/stream/${callId}`, { audio: AUDIO }, headers),
  'POST stream?poll=1': (callId, headers) =>
    http('POST', `${gateway.url}/api/voice/stream/${callId}?poll=1`, { audio: AUDIO }, headers),
  'POST stream (bare)': (callId, headers) =>
    http('POST', `${gateway.url}/api/voice/stream/${callId}`, Buffer.alloc(640), {
      ...headers,
      'content-type': 'audio/pcm',
    }),
  'GET response': (callId, headers) =>
    http('GET', `${gateway.url}/api/voice/stream/${callId}/response?timeout=0`, undefined, headers),
  'POST duplex (up alone)': (callId, headers) =>
    http('POST', `${gateway.url}/api/voice/stream/${callId}/duplex?down=0`, Buffer.alloc(160), {
      ...headers,
      'content-type': 'audio/pcmu',
    }),
  'GET audio': (callId, headers) => http('GET', `${gateway.url}/api/voice/stream/${callId}/audio`, undefined, headers),
  'GET session': (callId, headers) => http('GET', `${gateway.url}/api/voice/session/${callId}`, undefined, headers),
  'GET events': (callId, headers) =>
    http('GET', `${gateway.url}/api/voice/session/${callId}/events`, undefined, headers),
  'POST end': (callId, headers) => http('POST', `${gateway.url}/api/voice/session/${callId}/end`, undefined, headers),
  'GET history': (_callId, headers) => http('GET', `${gateway.url}/api/voice/calls`, undefined, headers),
  'GET history of a call': (callId, headers) =>
    http('GET', `${gateway.url}/api/voice/calls/${callId}`, undefined, headers),
  'GET recording': (callId, headers) =>
    http('GET', `${gateway.url}/api/voice/calls/${callId}/recording`, undefined, headers),
  'GET sessions': (_callId, headers) => http('GET', `${gateway.url}/api/voice/sessions`, undefined, headers),
  'GET usage': (_callId, headers) => http('GET', `${gateway.url}/api/voice/usage`, undefined, headers),
  'GET looks': (_callId, headers) => http('GET', `${gateway.url}/api/voice/looks`, undefined, headers),
  'GET status': (_callId, headers) => http('GET', `${gateway.url}/api/voice/status`, undefined, headers),
  'GET calls as they go': (_callId, headers) => http('GET', `${gateway.url}/api/voice/events`, undefined, headers),
  'GET who': (_callId, headers) => http('GET', `${gateway.url}/console/who`, undefined, headers),
};
/** Those of them that are about one call that exists. */
const CALL_ROUTES = Object.keys(ROUTES).filter(
  (name) => /^(POST|GET (response|audio|session|events)$)/.test(name) && name !== 'POST create',
);

const WRONG: Record<string, { headers: Headers; status: number; code: string }> = {
  'no key': { headers: {}, status: 401, code: 'unauthorized' },
  'an empty key': { headers: { 'x-api-key': '' }, status: 401, code: 'unauthorized' },
  'a key nobody has': { headers: { 'x-api-key': 'wrong' }, status: 403, code: 'forbidden' },
  'a bearer nobody has': { headers: { authorization: 'Bearer wrong' }, status: 403, code: 'forbidden' },
  'the hash of a key': {
    headers: { 'x-api-key': createHash('sha256').update(KEYS.acme).digest('hex') },
    status: 403,
    code: 'forbidden',
  },
  'a key in other letters': { headers: { 'x-api-key': KEYS.acme.toUpperCase() }, status: 403, code: 'forbidden' },
  'a key and more': { headers: { 'x-api-key': `${OPERATOR}x` }, status: 403, code: 'forbidden' },
  'a wrong key before a right one': {
    headers: { 'x-api-key': 'wrong', authorization: `Bearer ${OPERATOR}` },
    status: 403,
    code: 'forbidden',
  },
  'a key as a password': {
    headers: { authorization: `Basic ${Buffer.from(`operator:${OPERATOR}`).toString('base64')}` },
    status: 401,
    code: 'unauthorized',
  },
  'a prefix of a key': { headers: { 'x-api-key': OPERATOR.slice(0, -1) }, status: 403, code: 'forbidden' },
  "a tenant's key for another tenant": {
    headers: { ...beta, 'x-tenant-id': 'acme' },
    status: 403,
    code: 'forbidden',
  },
};

it('every route that asks for a key is tried here', async () => {
  const { paths } = (await http('GET', `${gateway.url}/docs/json`)).body as {
    paths: Record<string, Record<string, { security?: unknown[] }>>;
  };
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security?.length !== 0)
      .map(([method]) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/, 'CALL')}`),
  );
  const tried = new Set<string>();
  const spy = createServer((request, response) => {
    tried.add(`${request.method} ${request.url!.split('?')[0]}`);
    response.end();
  });
  await new Promise<void>((resolve) => spy.listen(0, '127.0.0.1', resolve));
  const real = gateway;
  try {
    gateway = { ...real, url: `http://127.0.0.1:${(spy.address() as AddressInfo).port}` };
    for (const route of Object.values(ROUTES)) await route('CALL', {});
  } finally {
    gateway = real;
    spy.close();
  }
  expect([...tried].sort()).toEqual(documented.sort());
});

describe('a wrong key', () => {
  const victim = 'wrong-key-victim';
  beforeAll(async () => {
    expect((await new TestCall(gateway.url, victim, acme).create()).status).toBe(200);
  });
  afterAll(() => new TestCall(gateway.url, victim, acme).end());

  for (const [what, { headers, status, code }] of Object.entries(WRONG)) {
    it.each(Object.keys(ROUTES))(`${what} opens nothing: %s`, async (route) => {
      const before = await http('GET', `${gateway.url}/api/voice/session/${victim}`, undefined, acme);
      const answer = await ROUTES[route]!(victim, headers);
      expect(answer.status).toBe(status);
      expect(Object.keys(answer.body).sort()).toEqual(['code', 'error', 'requestId']);
      expect(answer.body.code).toBe(code);
      expect(JSON.stringify(answer.body)).not.toContain(KEYS.acme);
      const after = await http('GET', `${gateway.url}/api/voice/session/${victim}`, undefined, acme);
      expect(after.body).toEqual({ ...before.body, lastActivity: expect.any(String) });
    });
  }

  it.each(Object.keys(ROUTES))('a wrong key is told nothing else that is wrong: %s', async (route) => {
    const answer = await ROUTES[route]!('no-such-call', { 'x-api-key': 'wrong', 'x-tenant-id': '!' });
    expect(answer.status).toBe(403);
  });
});

describe("another tenant's key", () => {
  const victim = 'other-tenants-victim';
  beforeAll(async () => {
    expect((await new TestCall(gateway.url, victim, acme).create()).status).toBe(200);
  });
  afterAll(() => new TestCall(gateway.url, victim, acme).end());

  it.each(CALL_ROUTES)('does not learn that a call exists: %s', async (route) => {
    const answer = await ROUTES[route]!(victim, beta);
    const nothing = await ROUTES[route]!('never-existed', beta);
    expect(answer.status).toBe(404);
    const like = (body: object, callId: string) =>
      JSON.stringify({ ...body, requestId: '' }).replaceAll(callId, 'CALL');
    expect(like(answer.body, victim)).toBe(like(nothing.body, 'never-existed'));
    expect((await ROUTES['GET session']!(victim, acme)).body.status).toBe('active');
  });

  it.each(CALL_ROUTES)("nor does the operator's that speaks for another tenant: %s", async (route) => {
    expect((await ROUTES[route]!(victim, { ...operator, 'x-tenant-id': 'beta' })).status).toBe(404);
    expect((await ROUTES['GET session']!(victim, acme)).body.status).toBe('active');
  });

  it('does not see it in the list', async () => {
    const { body } = await ROUTES['GET sessions']!('', beta);
    expect(body).toEqual({ sessions: [], count: 0 });
    expect((await ROUTES['GET sessions']!('', acme)).body.sessions).toMatchObject([
      { callId: victim, tenantId: 'acme' },
    ]);
    expect((await ROUTES['GET sessions']!('', operator)).body.count).toBe(1);
    expect((await ROUTES['GET sessions']!('', { ...operator, 'x-tenant-id': 'beta' })).body.count).toBe(0);
  });

  it('cannot create a call for somebody else', async () => {
    const call = new TestCall(gateway.url, 'forged', beta);
    const answer = await call.create({ tenantId: 'acme' });
    expect(answer.status).toBe(403);
    expect(answer.body.error).toBe('tenantId is "acme", but the request speaks for another tenant');
    expect((await ROUTES['GET session']!('forged', operator)).status).toBe(404);
  });
});

describe('two tenants that use one callId', () => {
  const shared = 'shared-call';
  it('have a session each, and the operator says which', async () => {
    const mine = new TestCall(gateway.url, shared, acme);
    const theirs = new TestCall(gateway.url, shared, beta);
    expect((await mine.create()).body.status).toBe('created');
    expect((await theirs.create()).body.status).toBe('created');
    expect((await mine.create()).body.status).toBe('existing');

    for (let i = 0; i < 3; i++) expect((await mine.send({ audio: AUDIO, chunkSeq: i })).status).toBe(200);
    expect((await mine.create()).body.nextChunkSeq).toBe(3);
    expect((await theirs.create()).body.nextChunkSeq).toBe(0);

    for (const route of CALL_ROUTES) {
      const { status, body } = await ROUTES[route]!(shared, operator);
      expect(status, route).toBe(409);
      expect(body, route).toMatchObject({
        error: `callId is "${shared}", which 2 tenants use: say which with X-Tenant-ID`,
        code: 'ambiguous_call_id',
      });
    }
    const info = await ROUTES['GET session']!(shared, { ...operator, 'x-tenant-id': 'beta' });
    expect(info.body.tenantId).toBe('beta');

    expect((await mine.end()).body.summary.callId).toBe(shared);
    expect((await mine.send({ audio: AUDIO, chunkSeq: 3 })).status).toBe(404);
    expect((await theirs.send({ audio: AUDIO, chunkSeq: 0 })).status).toBe(200);
    expect((await theirs.info()).body.status).toBe('active');
    await theirs.end();
  });
});

describe('the tenant of a call', () => {
  const created: [string, Headers][] = [];
  async function tenantOf(callId: string, headers: Headers, body: object = {}): Promise<string> {
    expect((await new TestCall(gateway.url, callId, headers).create(body)).status).toBe(200);
    created.push([callId, headers]);
    return (await http('GET', `${gateway.url}/api/voice/session/${callId}`, undefined, operator)).body.tenantId;
  }
  afterAll(async () => {
    for (const [callId, headers] of created) await new TestCall(gateway.url, callId, headers).end();
  });

  it("is the key's, the header's, the body's, or the default", async () => {
    expect(await tenantOf('tenant-1', acme)).toBe('acme');
    expect(await tenantOf('tenant-2', acme, { tenantId: 'acme' })).toBe('acme');
    expect(await tenantOf('tenant-3', { ...operator, 'x-tenant-id': 'gamma' })).toBe('gamma');
    expect(await tenantOf('tenant-4', operator, { tenantId: 'delta' })).toBe('delta');
    expect(await tenantOf('tenant-5', operator)).toBe('default');
  });

  it('cannot be two', async () => {
    const call = new TestCall(gateway.url, 'tenant-6', { ...operator, 'x-tenant-id': 'gamma' });
    expect((await call.create({ tenantId: 'delta' })).status).toBe(403);
  });
});
