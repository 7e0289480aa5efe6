import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { historyCall } from '../backend/support/summaries.ts';
import { type Answer, http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const ANYONE = { 'x-api-key': 'the-operators-key' };
const ACME = { 'x-api-key': 'key-of-acme' };
const BETA = { 'x-api-key': 'key-of-beta' };
const COUNT = 230;

let folder: string;
let gateway: TestGateway;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'history-'));
  const entries = ['acme', 'beta'].map((tenantId) => ({
    name: tenantId,
    sha256: createHash('sha256').update(`key-of-${tenantId}`).digest('hex'),
    tenantId,
  }));
  writeFileSync(join(folder, 'keys.json'), JSON.stringify(entries));
  gateway = await startGateway({
    env: {
      SESSION_WORKERS: '1',
      W3_VOICE_GATEWAY_API_KEY: ANYONE['x-api-key'],
      API_KEYS_FILE: join(folder, 'keys.json'),
      DEFAULT_AGENT_REF: 'quiet',
    },
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
  });
  const nowMs = Date.now();
  await Promise.all(
    Array.from({ length: COUNT }, (_, n) =>
      gateway.daemon.store.record({
        id: `session-${n}`,
        summaryState: 'none',
        call: historyCall({
          callId: `call-${n}`,
          tenantId: n % 10 === 0 ? 'beta' : 'acme',
          startedAtMs: nowMs - (COUNT - n) * 60_000,
          transcript: ['[User]: =cmd|"evil"', `[AI]: Line ${n},\nsaid "twice"`],
        }),
      }),
    ),
  );
});
afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
});

const get = (path: string, headers: Record<string, string> = ANYONE): Promise<Answer> =>
  http('GET', `${gateway.url}/api/voice/calls${path}`, undefined, headers);

describe('the history of calls', () => {
  it('comes in pages, each call once, the newest first', async () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { status, body } = await get(`?limit=100${cursor === undefined ? '' : `&cursor=${cursor}`}`);
      expect(status).toBe(200);
      seen.push(...body.calls.map(({ callId }: { callId: string }) => callId));
      cursor = body.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(Array.from({ length: COUNT }, (_, n) => `call-${COUNT - 1 - n}`));
    expect((await get('')).body.calls).toHaveLength(50);
  });

  it('is each tenant’s own', async () => {
    const { body } = await get('?limit=200', BETA);
    expect(body.calls).toHaveLength(23);
    expect(new Set(body.calls.map(({ tenantId }: { tenantId: string }) => tenantId))).toEqual(new Set(['beta']));
    expect((await get('?limit=200', { ...ANYONE, 'x-tenant-id': 'beta' })).body).toEqual(body);
    expect((await get('/session-1', BETA)).body.code).toBe('call_not_found');
    expect((await get('/call-1', BETA)).status).toBe(404);
    expect((await get('/call-1', ACME)).status).toBe(200);
    expect((await get('?q=call-1', BETA)).body.calls).toEqual([]);
    expect(
      (await get('?format=csv', BETA)).body.split('\r\n').filter((line: string) => /beta/.test(line)),
    ).toHaveLength(23);
    expect((await get('?format=csv', BETA)).body).not.toContain('acme');
    expect((await get('', {})).status).toBe(401);
  });

  it('shows numbers only when asked', async () => {
    const lists = await Promise.all(['', '?format=csv', '?format=jsonl&q=call-1', '/call-1'].map((path) => get(path)));
    for (const { body } of lists) expect(JSON.stringify(body)).not.toContain('393297626144');
    expect(lists[0]!.body.calls[0].callerNumber).toBe('…44');
    expect((await get('/call-1?numbers=full')).body.callerNumber).toBe('+393297626144');
    expect((await get('?numbers=full&limit=1')).body.calls[0].callerNumber).toBe('+393297626144');
  });

  it('is exported whole, as JSON lines', async () => {
    const answer = await fetch(`${gateway.url}/api/voice/calls`, {
      headers: { ...ANYONE, accept: 'application/jsonl' },
    });
    expect(answer.headers.get('content-type')).toMatch(/^application\/jsonl/);
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="calls.jsonl"');
    const lines = (await answer.text()).trimEnd().split('\n');
    expect(lines).toHaveLength(COUNT);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      callId: `call-${COUNT - 1}`,
      transcript: ['[User]: =cmd|"evil"', `[AI]: Line ${COUNT - 1},\nsaid "twice"`],
      figures: { turns: 1 },
    });
  });

  it('is exported whole, as CSV that no spreadsheet runs', async () => {
    const answer = await fetch(`${gateway.url}/api/voice/calls?format=csv&limit=3`, { headers: ANYONE });
    expect(answer.headers.get('content-type')).toMatch(/^text\/csv/);
    const csv = await answer.text();
    expect(csv.match(/\r\n/g)).toHaveLength(COUNT + 1);
    expect(csv.split('\r\n')[0]).toMatch(/^startedAt,endedAt,.*,transcript$/);
    expect(csv.split('\r\n')[1]).toContain(`,"[User]: =cmd|""evil""\n[AI]: Line ${COUNT - 1},\nsaid ""twice"""`);
  });

  it('ends an export whose reader goes', async () => {
    const controller = new AbortController();
    const answer = await fetch(`${gateway.url}/api/voice/calls?format=jsonl`, {
      headers: ANYONE,
      signal: controller.signal,
    });
    await answer.body!.getReader().read();
    controller.abort();
    expect((await get('?limit=1')).status).toBe(200);
  });

  it.each([
    ['from=yesterday', /^from is "yesterday", but must be text that matches/],
    ['to=2025-13-45', /^to is "2025-13-45", but must be a date/],
    ['outcome=bad', /^outcome is "bad", but must be one of "completed"/],
    ['limit=0', /^limit is 0, but must be a whole number from 1 to 200/],
    ['cursor=x', /^cursor is "x", but must be text that matches/],
    ['numbers=all', /^numbers is "all", but must be one of "masked", "full"/],
    ['format=xml', /^format is "xml", but must be one of "json", "csv", "jsonl"/],
  ])('refuses %s with a sentence', async (query, sentence) => {
    const { status, body } = await get(`?${query}`);
    expect([status, body.code]).toEqual([400, 'invalid_field']);
    expect(body.error).toMatch(sentence);
  });

  it('has a call as soon as its end was answered, with its turns, figures and faults', async () => {
    const call = new TestCall(gateway.url, 'just-now', ACME);
    await call.create({ callerNumber: '393297626144' });
    await call.send({ audio: Buffer.alloc(9_600, 1).toString('base64') });
    await call.send({ audio: 'QQ==' });
    const turns = async () =>
      (await http('GET', `${gateway.url}/api/voice/session/just-now/events`, undefined, ACME)).body.turns;
    await expect.poll(turns).toHaveLength(1);
    expect((await call.end()).status).toBe(200);
    const { body } = await get('/just-now', ACME);
    expect(body).toMatchObject({
      callId: 'just-now',
      tenantId: 'acme',
      aiAgentRef: 'quiet',
      outcome: 'completed',
      summary: 'none',
      faultCount: 1,
      faults: [{ type: 'chunk_rejected', reason: 'odd_length' }],
      figures: { audioSeconds: { up: 0.3 }, droppedChunks: 1 },
    });
    expect(body.turns).toMatchObject([{ turn: 1, trigger: 'greeting' }]);
  });
});
