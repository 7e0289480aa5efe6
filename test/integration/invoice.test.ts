import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SimulatorBill } from '../../src/simulator/stats.ts';
import type { Tokens } from '../../src/upstream/usage.ts';
import { eventsOf, say, spoken } from '../metrics/support/calls.ts';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const CALLS = 50;
const AT_ONCE = 10;
const OPERATOR = 'the-operators-key';
const KEYS = { acme: 'key-of-acme', beta: 'key-of-beta', poor: 'key-of-poor' };
const AGENTS = {
  front: { ...QUIET_PROFILE, greeting: { instructions: 'Say exactly: "Good morning."' } },
  orders: { ...QUIET_PROFILE, model: 'gpt-realtime-2.1-mini' },
  night: { ...QUIET_PROFILE, model: 'gpt-realtime-2.1-mini', transcription: { model: 'gpt-4o-mini-transcribe' } },
};
const AGENT_NAMES = Object.keys(AGENTS);
const SPEECH = spoken('order-status-16k', 3.5, 5.5);

let gateway: TestGateway;
let folder: string;
let log = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'invoice-'));
  const keysFile = join(folder, 'keys.json');
  const entries = Object.entries(KEYS).map(([tenantId, key]) => ({
    name: tenantId,
    sha256: createHash('sha256').update(key).digest('hex'),
    tenantId,
    ...(tenantId === 'poor' ? { budgetPerDay: 0.000_01 } : {}),
  }));
  writeFileSync(keysFile, JSON.stringify(entries));
  gateway = await startGateway({
    env: { W3_VOICE_GATEWAY_API_KEY: OPERATOR, API_KEYS_FILE: keysFile, SESSION_WORKERS: '2' },
    profiles: AGENTS,
    simulator: { speedup: Number.POSITIVE_INFINITY, responseDelayMs: 1, transcriptionDelayMs: 1 },
    log: pino(
      { level: 'warn' },
      new Writable({
        write(chunk, _encoding, done) {
          log += chunk;
          done();
        },
      }),
    ),
  });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true });
});

const as = (key: string) => ({ 'x-api-key': key });

/** Waits until so many responses are done and paid for: what is on its way when a call ends, nobody is told of. */
async function untilAnswered(call: TestCall, responses: number): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const { events } = await eventsOf(call);
    const count = (type: string) => events.filter((event: { type: string }) => event.type === type).length;
    if (count('response_done') >= responses && count('transcribed') >= count('speech_stopped')) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${call.callId} had no ${responses} responses`);
}

/** A call of a few answers: with a greeting where the agent has one, keys, and for some spoken words. */
async function oneCall(index: number): Promise<void> {
  const tenant = index % 2 === 0 ? 'acme' : 'beta';
  const agent = AGENT_NAMES[index % AGENT_NAMES.length]!;
  const call = new TestCall(gateway.url, `call-${index}`, as(KEYS[tenant]));
  await call.create({ aiAgentRef: agent });
  let responses = agent === 'front' ? 1 : 0;
  await untilAnswered(call, responses);
  for (let key = 0; key <= index % 3; key++) {
    await call.send({ dtmf: `${key}#` });
    await untilAnswered(call, ++responses);
  }
  if (index % 5 === 0) {
    await say(call, SPEECH);
    await untilAnswered(call, ++responses);
  }
  expect((await call.end()).status).toBe(200);
}

const usage = async (query: string, key = OPERATOR, tenant?: string) => {
  const headers = { ...as(key), ...(tenant === undefined ? {} : { 'x-tenant-id': tenant }) };
  const answer = await http('GET', `${gateway.url}/api/voice/usage${query}`, undefined, headers);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

/** What a simulator's bill is in the words of the gateway. */
function told({ inputText, inputAudio, cachedText, cachedAudio, outputText, outputAudio }: SimulatorBill): Tokens {
  return {
    input_text: inputText - cachedText,
    input_audio: inputAudio - cachedAudio,
    input_image: 0,
    cached_text: cachedText,
    cached_audio: cachedAudio,
    cached_image: 0,
    output_text: outputText,
    output_audio: outputAudio,
  };
}

const plus = (rows: { tokens: Tokens }[]) =>
  rows.reduce<Record<string, number>>((sums, { tokens }) => {
    for (const [type, count] of Object.entries(tokens)) sums[type] = (sums[type] ?? 0) + count;
    return sums;
  }, {});

it('adds up to what the upstream billed, to the token', async () => {
  const left = Array.from({ length: CALLS }, (_, index) => index);
  const lane = async () => {
    for (let index = left.shift(); index !== undefined; index = left.shift()) await oneCall(index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));

  const byModel = await usage('?by=model');
  const { bills } = gateway.simulator.stats;
  // Two models of conversations, two of transcription.
  expect(byModel.rows.map(({ name }: { name: string }) => name)).toEqual(Object.keys(bills).sort());
  expect(byModel.rows).toHaveLength(4);
  for (const { name, tokens, seconds, cost } of byModel.rows) {
    expect(tokens, name).toEqual(told(bills[name]!));
    expect(seconds, name).toBe(bills[name]!.seconds);
    expect(cost, name).toBeGreaterThan(0);
  }
  expect(byModel.total).toMatchObject({ calls: CALLS, unpriced: 0 });
  for (const [by, names] of [
    ['tenant', ['acme', 'beta']],
    ['agent', AGENT_NAMES.toSorted()],
    ['day', [new Date().toISOString().slice(0, 10)]],
  ] as const) {
    const { rows, total } = await usage(`?by=${by}`);
    expect(rows.map(({ name }: { name: string }) => name)).toEqual(names);
    expect(plus(rows), by).toEqual(total.tokens);
    expect(total).toEqual(byModel.total);
  }

  // Each tenant sees its own, and both together are all of it.
  const own = await Promise.all([usage('', KEYS.acme), usage('', OPERATOR, 'beta')]);
  expect(plus(own.map(({ total }) => total))).toEqual(byModel.total.tokens);
  expect(own.map(({ total }) => total.calls)).toEqual([25, 25]);

  // The history has each call's part of it.
  const calls = await http('GET', `${gateway.url}/api/voice/calls?limit=200`, undefined, as(OPERATOR));
  const costs = calls.body.calls.map(({ cost }: { cost: number }) => cost);
  expect(costs).toHaveLength(CALLS);
  expect(costs.reduce((sum: number, cost: number) => sum + cost, 0)).toBeCloseTo(byModel.total.cost, 4);
});

it('is asked for whole quarters of an hour', async () => {
  const ask = (query: string) => http('GET', `${gateway.url}/api/voice/usage${query}`, undefined, as(OPERATOR));
  expect((await usage('?from=2020-01-01&to=2020-02-01T00:00:00%2B05:45')).total.calls).toBe(0);
  expect(await ask('?from=2026-01-01T10:10:00Z')).toMatchObject({
    status: 400,
    body: { code: 'invalid_field', error: 'from is "2026-01-01T10:10:00Z", but must be a whole quarter of an hour' },
  });
  expect((await ask('?by=caller')).status).toBe(400);
});

it('is refused to a tenant whose budget for the day is spent, after a warning; its running calls go on', async () => {
  const first = new TestCall(gateway.url, 'first', as(KEYS.poor));
  expect((await first.create({ aiAgentRef: 'orders' })).status).toBe(200);
  await first.send({ dtmf: '1#' });
  await untilAnswered(first, 1);
  expect(log).toContain('budget for today is spent');
  const second = await new TestCall(gateway.url, 'second', as(KEYS.poor)).create({ aiAgentRef: 'orders' });
  expect(second).toMatchObject({ status: 429, body: { code: 'budget_exhausted' } });
  expect(second.body.error).toMatch(/^this tenant has spent [\d.]+ of its 0.00001 USD for today/);
  expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
  await first.send({ dtmf: '2#' });
  await untilAnswered(first, 2);
  expect((await first.end()).status).toBe(200);
  const scrape = await http('GET', `${gateway.url}/metrics`, undefined, as(OPERATOR));
  expect(scrape.body).toMatch(/^voice_gateway_tenant_budget_used_ratio\{tenant="poor"\} [1-9]/m);
});
