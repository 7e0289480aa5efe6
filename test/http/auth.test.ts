import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appOverRecorder } from './support.ts';

const OPERATOR = 'operator-key';
const ACME = 'acme-key';

describe('keys', () => {
  let folder: string;
  let server: Awaited<ReturnType<typeof appOverRecorder>>;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'auth-'));
    const keysFile = join(folder, 'keys.json');
    const sha256 = createHash('sha256').update(ACME).digest('hex');
    writeFileSync(keysFile, JSON.stringify([{ name: 'acme', sha256, tenantId: 'acme' }]));
    server = await appOverRecorder({ keys: { operatorKey: OPERATOR, keysFile }, openMetrics: false });
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    server.seen.scopes.length = 0;
  });

  async function list(headers: Record<string, string>) {
    const { statusCode, headers: answered, body } = await server.app.inject({ url: '/api/voice/sessions', headers });
    return { status: statusCode, headers: answered, body: JSON.parse(body) };
  }

  it('asks for a key with 401 and says how to send it', async () => {
    const { status, headers, body } = await list({});
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe('Bearer');
    expect(body).toEqual({
      error: 'X-API-Key is missing: send it, or Authorization: Bearer KEY',
      code: 'unauthorized',
      requestId: headers['x-request-id'],
    });
  });

  it.each([
    { 'x-api-key': '' },
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: `Basic ${Buffer.from(`x:${OPERATOR}`).toString('base64')}` },
    { authorization: OPERATOR },
  ])('takes %j for no key', async (headers) => {
    expect((await list(headers as Record<string, string>)).status).toBe(401);
  });

  it.each([
    { 'x-api-key': 'wrong' },
    { 'x-api-key': `${OPERATOR}x` },
    { 'x-api-key': OPERATOR.toUpperCase() },
    { 'x-api-key': `${OPERATOR}, ${OPERATOR}` },
    { authorization: 'Bearer wrong' },
    { 'x-api-key': 'wrong', authorization: `Bearer ${OPERATOR}` },
  ])('refuses %j with 403 and does not repeat it', async (headers) => {
    const { status, body } = await list(headers as Record<string, string>);
    expect(status).toBe(403);
    expect(body).toMatchObject({ error: 'the API key is not known here', code: 'forbidden' });
  });

  it.each([
    [{ 'x-api-key': OPERATOR }, undefined],
    [{ authorization: `Bearer ${OPERATOR}` }, undefined],
    [{ authorization: `bearer   ${OPERATOR}` }, undefined],
    [{ 'x-api-key': OPERATOR, 'x-tenant-id': 'acme' }, 'acme'],
    [{ 'x-api-key': OPERATOR, 'x-tenant-id': '' }, undefined],
    [{ 'x-api-key': ACME }, 'acme'],
    [{ 'x-api-key': ACME, 'x-tenant-id': 'acme' }, 'acme'],
    [{ authorization: `Bearer ${ACME}` }, 'acme'],
  ])('lets %j see the tenant %s', async (headers, tenantId) => {
    expect((await list(headers as unknown as Record<string, string>)).status).toBe(200);
    expect(server.seen.scopes).toMatchObject([{ tenantId }]);
  });

  it("refuses a tenant's key that speaks for another tenant", async () => {
    const { status, body } = await list({ 'x-api-key': ACME, 'x-tenant-id': 'beta' });
    expect(status).toBe(403);
    expect(body.error).toBe('X-Tenant-ID is "beta", but the API key belongs to another tenant');
    expect(server.seen.scopes).toEqual([]);
  });

  it.each(['a b', '../x', 'ä', '-x', 'x'.repeat(129)])('refuses the tenant %j', async (tenant) => {
    const { status, body } = await list({ 'x-api-key': OPERATOR, 'x-tenant-id': tenant });
    expect(status).toBe(400);
    expect(body.error).toMatch(/^X-Tenant-ID is ".*, but must be text that matches /);
  });

  it('says nothing of tenants to a wrong key', async () => {
    expect((await list({ 'x-api-key': 'wrong', 'x-tenant-id': 'a b' })).status).toBe(403);
  });

  it('keeps health, readiness and the documentation open, and metrics closed', async () => {
    for (const url of ['/health', '/ready', '/docs', '/docs/json', '/docs/static/swagger-ui.css']) {
      expect((await server.app.inject({ url })).statusCode, url).toBe(200);
    }
    expect((await server.app.inject({ url: '/metrics' })).statusCode).toBe(401);
    expect((await server.app.inject({ url: '/metrics', headers: { 'x-api-key': OPERATOR } })).statusCode).toBe(200);
  });
});

describe('without keys', () => {
  it('lets everyone in, and narrows to a tenant on request', async () => {
    const { app, seen, close } = await appOverRecorder();
    try {
      expect((await app.inject({ url: '/api/voice/sessions' })).statusCode).toBe(200);
      expect((await app.inject({ url: '/api/voice/sessions', headers: { 'x-tenant-id': 't1' } })).statusCode).toBe(200);
      expect((await app.inject({ url: '/metrics' })).statusCode).toBe(200);
      expect(seen.scopes).toMatchObject([{ tenantId: undefined }, { tenantId: 't1' }]);
    } finally {
      await close();
    }
  });
});
