import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SignInThrottle } from '../../src/http/sign-in-throttle.ts';
import { SIGN_IN_IDLE_MS, SIGN_IN_MS, SignIns } from '../../src/http/sign-ins.ts';
import { appOverRecorder } from './support.ts';

const KEY = 'the-operators-key';
const HOST = 'gateway.example';
const PAGE = { host: HOST, origin: `http://${HOST}`, 'sec-fetch-site': 'same-origin' };

let folder: string;
let server: Awaited<ReturnType<typeof appOverRecorder>>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'console-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Calls</title>');
  writeFileSync(join(folder, 'assets', 'main-abc123.js'), 'start();');
  writeFileSync(join(folder, '..', 'not-of-the-console.txt'), 'secret');
  server = await appOverRecorder({ keys: { operatorKey: KEY }, consoleFolder: folder });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

let address = 0;
/** Every test signs in from an address of its own: wrong keys slow the address down. */
afterEach(() => {
  address += 1;
});

function signIn(key: unknown = KEY, headers: Record<string, string> = PAGE): Promise<LightMyRequestResponse> {
  return server.app.inject({
    method: 'POST',
    url: '/console/sign-in',
    headers,
    payload: { key },
    remoteAddress: `192.0.2.${address}`,
  });
}

async function cookie(): Promise<string> {
  const { headers } = await signIn();
  return String(headers['set-cookie']).split(';')[0]!;
}

const list = (headers: Record<string, string>) =>
  server.app.inject({ url: '/api/voice/sessions', headers: { host: HOST, ...headers } });
const create = (headers: Record<string, string>) =>
  server.app.inject({
    method: 'POST',
    url: '/api/voice/session/create',
    headers: { host: HOST, ...headers },
    payload: { callId: 'call-1' },
  });

describe('signing in', () => {
  it('exchanges a key for a cookie that scripts cannot read and other sites cannot use', async () => {
    const answer = await signIn();
    expect(answer.statusCode).toBe(204);
    expect(answer.body).toBe('');
    const [pair, ...attributes] = String(answer.headers['set-cookie']).split('; ');
    expect(pair).toMatch(/^voice-gateway=[\w-]{43}$/);
    expect(attributes.sort()).toEqual(['HttpOnly', 'Max-Age=43200', 'Path=/', 'SameSite=Strict']);
    expect(pair).not.toContain(KEY);
    expect((await list({ cookie: pair! })).statusCode).toBe(200);
    const who = await server.app.inject({ url: '/console/who', headers: { host: HOST, cookie: pair! } });
    expect(who.headers['cache-control']).toBe('no-store');
    expect(who.json()).toEqual({
      name: 'operator',
      role: 'operator',
      isKeyless: false,
      may: { transcripts: true, numbers: true, end: true, talk: true },
    });
  });

  it('has the cookie sent over TLS only where there is TLS, at a proxy too', async () => {
    const behind = await appOverRecorder({ keys: { operatorKey: KEY }, trustProxy: true });
    try {
      const headers = { host: HOST, origin: `https://${HOST}`, 'x-forwarded-proto': 'https' };
      const answer = await behind.app.inject({
        method: 'POST',
        url: '/console/sign-in',
        headers,
        payload: { key: KEY },
      });
      const [pair, ...attributes] = String(answer.headers['set-cookie']).split('; ');
      expect(pair).toMatch(/^__Host-voice-gateway=/);
      expect(attributes).toContain('Secure');
    } finally {
      await behind.close();
    }
  });

  it('says no to a wrong key, and nothing more', async () => {
    const answer = await signIn('wrong');
    expect(answer.statusCode).toBe(403);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(answer.json()).toMatchObject({ code: 'forbidden', error: 'the API key is not known here' });
    for (const key of [null, '', 5, 'x'.repeat(5_000)]) expect((await signIn(key)).statusCode, `${key}`).toBe(400);
  });

  it('slows down an address that tries keys, the right one too, and no other address', async () => {
    const tried: number[] = [];
    for (let i = 0; i < 8; i++) tried.push((await signIn(`guess ${i}`)).statusCode);
    expect(tried).toEqual([403, 403, 403, 403, 403, 429, 429, 429]);
    const refused = await signIn();
    expect(refused.statusCode).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    address += 1;
    expect((await signIn()).statusCode).toBe(204);
  });

  it('ends with signing out, whoever has a copy of the cookie', async () => {
    const copy = await cookie();
    const out = await server.app.inject({
      method: 'POST',
      url: '/console/sign-out',
      headers: { ...PAGE, cookie: copy },
    });
    expect(out.statusCode).toBe(204);
    expect(String(out.headers['set-cookie'])).toMatch(/^voice-gateway=; Max-Age=0;/);
    expect((await list({ cookie: copy })).statusCode).toBe(401);
  });

  it('takes no token that was not given, and no other cookie', async () => {
    const good = await cookie();
    for (const bad of [`${good}x`, good.slice(0, -1), 'voice-gateway=', 'voice-gateway', `other=${KEY}`, '=;;=']) {
      expect((await list({ cookie: bad })).statusCode, bad).toBe(401);
    }
    expect((await list({ cookie: `a=1; ${good}; b=2` })).statusCode).toBe(200);
  });
});

describe('a page of another site', () => {
  it.each([
    [{ origin: 'https://evil.example' }],
    [{ origin: `http://${HOST}:8080` }],
    [{ origin: 'null' }],
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
  ])('can do nothing with a cookie that is sent along: %j', async (headers) => {
    const stolen = { ...(headers as Record<string, string>), cookie: await cookie() };
    for (const answer of [await create(stolen), await list(stolen)]) {
      expect(answer.statusCode).toBe(403);
      expect(answer.json().code).toBe('foreign_origin');
    }
    expect(server.seen.creates).toEqual([]);
    expect((await signIn(KEY, { host: HOST, ...(headers as Record<string, string>) })).statusCode).toBe(403);
  });

  it('is not told apart from a program, so a cookie alone changes nothing; a key does', async () => {
    const signedIn = await cookie();
    expect((await create({ cookie: signedIn })).json().code).toBe('foreign_origin');
    expect((await create({ cookie: signedIn, 'sec-fetch-site': 'none' })).statusCode).toBe(403);
    expect((await create({ cookie: signedIn, 'sec-fetch-site': 'same-origin' })).statusCode).toBe(200);
    expect((await create({ cookie: signedIn, origin: `http://${HOST}` })).statusCode).toBe(200);
    expect((await create({ 'x-api-key': KEY })).statusCode).toBe(200);
  });

  it('starts no call on a gateway without a key, by whatever name or from whatever port of this machine', async () => {
    const { app, seen, close } = await appOverRecorder({ consoleFolder: folder });
    try {
      const host = '127.0.0.1:3105';
      const post = (headers: Record<string, string>) =>
        app.inject({ method: 'POST', url: '/api/voice/session/create', headers, payload: { callId: 'call-1' } });
      const foreign = [
        { host: 'rebound.example', origin: 'http://rebound.example' },
        { host, origin: 'http://127.0.0.1:8080' },
        { host, origin: 'http://localhost:3105' },
        { host, 'sec-fetch-site': 'same-site' },
        { host, 'sec-fetch-site': 'cross-site' },
      ];
      for (const headers of foreign)
        expect((await post(headers as never)).statusCode, JSON.stringify(headers)).toBeGreaterThanOrEqual(403);
      expect(seen.creates).toEqual([]);
      expect((await app.inject({ url: '/console/', headers: { host: 'rebound.example' } })).statusCode).toBe(421);
      expect((await post({ host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })).statusCode).toBe(200);
      const who = await app.inject({ url: '/console/who', headers: { host } });
      expect(who.json()).toMatchObject({ name: 'keyless', role: 'operator', isKeyless: true });
    } finally {
      await close();
    }
  });
});

describe('the page', () => {
  const ask = (url: string, headers: Record<string, string> = {}) =>
    server.app.inject({ url, headers: { host: HOST, ...headers } });

  it('is there without a key, may be linked to, and is kept from doing anything but its work', async () => {
    expect((await ask('/console')).headers.location).toBe('/console/');
    const page = await ask('/console/', { 'sec-fetch-site': 'cross-site' });
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.headers['cache-control']).toBe('no-cache');
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:|https?:/);
    expect(page.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'permissions-policy': expect.stringContaining('microphone=(self)'),
    });
  });

  it('has files that are kept for ever under their name, and none of elsewhere', async () => {
    const script = await ask('/console/assets/main-abc123.js');
    expect(script.body).toBe('start();');
    expect(script.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    for (const url of [
      '/console/nothing.js',
      '/console/../not-of-the-console.txt',
      '/console/..%2fnot-of-the-console.txt',
    ]) {
      const answer = await ask(url);
      expect([403, 404], url).toContain(answer.statusCode);
      expect(answer.body).not.toContain('secret');
    }
  });

  it('says what to do where it was not built', async () => {
    const { app, close } = await appOverRecorder({ consoleFolder: join(folder, 'none') });
    try {
      const answer = await app.inject({ url: '/console/', headers: { host: '127.0.0.1' } });
      expect(answer.statusCode).toBe(404);
      expect(answer.json().error).toMatch(/not built.*npm run build/);
    } finally {
      await close();
    }
  });
});

describe('who is signed in', () => {
  it('stays so for as long as something is asked, and for half a day at most', () => {
    let nowMs = 0;
    const signIns = new SignIns(() => nowMs);
    const busy = signIns.open(Buffer.from('a'));
    const idle = signIns.open(Buffer.from('b'));
    for (nowMs = 0; nowMs < SIGN_IN_MS; nowMs += SIGN_IN_IDLE_MS / 2)
      expect(signIns.use(busy)).toEqual(Buffer.from('a'));
    expect(signIns.use(idle)).toBeUndefined();
    nowMs = SIGN_IN_MS + 1;
    expect(signIns.use(busy)).toBeUndefined();
  });

  it('is forgotten when too many are, the longest unused first', () => {
    const signIns = new SignIns(() => 0);
    const [first, second] = [signIns.open(Buffer.from('a')), signIns.open(Buffer.from('b'))];
    signIns.use(first);
    for (let i = 0; i < 999; i++) signIns.open(Buffer.from('c'));
    expect(signIns.use(second)).toBeUndefined();
    expect(signIns.use(first)).toBeDefined();
  });
});

describe('the brake', () => {
  it('doubles the pause up to a minute, and forgets after a right key or a quarter of an hour', () => {
    let nowMs = 1;
    const throttle = new SignInThrottle(() => nowMs);
    const pauses: number[] = [];
    for (let i = 0; i < 30; i++) {
      const pauseMs = throttle.attempt('192.0.2.1');
      if (pauseMs > 0) pauses.push(pauseMs);
      nowMs += pauseMs;
    }
    expect(pauses.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(Math.max(...pauses)).toBe(60_000);
    throttle.succeeded('192.0.2.1');
    for (let i = 0; i < 4; i++) expect(throttle.attempt('192.0.2.1')).toBe(0);
    expect(throttle.attempt('192.0.2.1')).toBe(0);
    expect(throttle.attempt('192.0.2.1')).toBe(1_000);
    nowMs += 900_001;
    for (let i = 0; i < 5; i++) expect(throttle.attempt('192.0.2.1')).toBe(0);
  });

  it('takes a customer with IPv6 for one, and two for two', () => {
    const throttle = new SignInThrottle(() => 1);
    for (let i = 0; i < 5; i++) throttle.attempt(`2001:db8:1:2::${i + 1}`);
    expect(throttle.attempt('2001:db8:1:2:ffff::1')).toBeGreaterThan(0);
    expect(throttle.attempt('2001:db8:1:3::1')).toBe(0);
    expect(throttle.attempt('::ffff:192.0.2.1')).toBe(0);
  });
});
