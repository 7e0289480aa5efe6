import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Entry,
  FollowedCall,
  FollowedEnd,
  FollowedTurn,
  Gap,
  Line,
  LiveCall,
  LiveChanges,
  LiveSnapshot,
} from '../../src/http/live-schemas.ts';
import { CALLER_NUMBER, interruptingCall, startObserved } from '../metrics/support/calls.ts';
import { http, TestCall } from '../support/call.ts';
import { EventClient, type ServerSentEvent } from '../support/event-stream.ts';
import type { TestGateway } from '../support/gateway.ts';

const OPERATOR = { 'x-api-key': 'the-operators-key' };
const LOOKER = { 'x-api-key': 'key-of-looker' };
const BETA = { 'x-api-key': 'key-of-beta' };
const SCHEMAS = {
  snapshot: LiveSnapshot,
  changes: LiveChanges,
  gap: Gap,
  call: FollowedCall,
  event: Entry,
  line: Line,
  turn: FollowedTurn,
  state: LiveCall,
  end: FollowedEnd,
  bye: Gap,
};

let folder: string;
let gateway: TestGateway;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'live-'));
  const entry = (name: string, tenantId: string, may?: string[]) => ({
    name,
    sha256: createHash('sha256').update(`key-of-${name}`).digest('hex'),
    tenantId,
    ...(may ? { may } : {}),
  });
  writeFileSync(join(folder, 'keys.json'), JSON.stringify([entry('looker', 'acme', []), entry('beta', 'beta')]));
  gateway = await startObserved({
    env: {
      SESSION_WORKERS: '1',
      W3_VOICE_GATEWAY_API_KEY: OPERATOR['x-api-key'],
      API_KEYS_FILE: join(folder, 'keys.json'),
      DEFAULT_AGENT_REF: 'brief',
      DEFAULT_TENANT_ID: 'acme',
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const followed = (callId: string, headers: Record<string, string> = OPERATOR) =>
  EventClient.open(`${gateway.url}/api/voice/session/${callId}/events?follow=1`, headers);

function expectAsDocumented(events: readonly ServerSentEvent[]): void {
  for (const { event, data } of events) {
    const validator = Compile(SCHEMAS[event as keyof typeof SCHEMAS]);
    expect(validator.Check(data), `${event}: ${JSON.stringify(validator.Errors(data))}`).toBe(true);
  }
}

/** What somebody knows who puts each thing that comes in the place of the one before it. */
function latest(events: readonly ServerSentEvent[], name: string, key: string): Map<unknown, unknown> {
  const first = events.find(({ event }) => event === 'call')?.data ?? {};
  const begun = { event: first.events, line: first.lines, turn: first.turns }[name] ?? [];
  const told = events.filter(({ event }) => event === name).map(({ data }) => data);
  return new Map([...begun, ...told].map((one) => [one[key], one]));
}

describe('one call', () => {
  it('is told as it happens, to whoever looks from the start or comes later, until it ends', async () => {
    const list = await EventClient.open(`${gateway.url}/api/voice/events`, OPERATOR);
    await list.until((it) => it.named('snapshot').length === 1);
    const first = new TestCall(gateway.url, 'told', OPERATOR);
    await first.create({ callerNumber: CALLER_NUMBER, did: '5406594427' });
    const early = await followed('told');
    expect(early.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    const blind = await followed('told', LOOKER);
    await interruptingCall(gateway, 'told', OPERATOR);
    const late = await followed('told');
    await Promise.all([early, late, blind].map((client) => client.until((it) => it.isOver)));

    for (const client of [early, late, blind]) {
      expect(client.events.at(-1)).toMatchObject({ event: 'end', data: { endReason: 'transferred' } });
      expect(client.named('end')).toHaveLength(1);
      expectAsDocumented(client.events);
    }
    const lines = [...latest(early.events, 'line', 'id').values()] as { role: string; text: string; heard?: string }[];
    expect(lines.map(({ role }) => role).slice(0, 3)).toEqual(['user', 'agent', 'user']);
    const [cut] = lines.filter(({ role }) => role === 'agent');
    expect(cut).toMatchObject({ cut: true, isFinal: true });
    expect(cut!.text.startsWith(cut!.heard!)).toBe(true);
    expect(cut!.heard!.length).toBeLessThan(cut!.text.length);
    const entries = [...latest(early.events, 'event', 'n').values()] as { type: string }[];
    expect(entries.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['speech_stopped', 'handed_over', 'interrupted', 'action', 'ended']),
    );
    const turns = [...latest(early.events, 'turn', 'turn').values()] as { interrupted?: object; latencyMs?: number }[];
    expect(turns.some(({ interrupted, latencyMs }) => interrupted && latencyMs! > 0)).toBe(true);
    // Whoever came when it was over knows the same.
    for (const [name, key] of [
      ['line', 'id'],
      ['event', 'n'],
      ['turn', 'turn'],
    ] as const) {
      const sorted = (told: Map<unknown, unknown>) => [...told].sort(([a], [b]) => Number(a) - Number(b));
      expect(sorted(latest(late.events, name, key)), name).toEqual(sorted(latest(early.events, name, key)));
    }
    // Whoever is interrupted early was not heard to say a word; those that were to be said are not told either.
    expect(JSON.stringify(blind.events)).not.toContain(cut!.text.split(' ').slice(0, 2).join(' '));
    expect(blind.events[0]!.data.lines).toBeUndefined();
    expect(JSON.stringify([early.events, list.events])).not.toContain(CALLER_NUMBER);

    await list.until((it) => it.named('changes').some(({ data }) => data.ended.length > 0));
    expectAsDocumented(list.events);
    const phases = list.named('changes').flatMap(({ data }) => data.changed.map((one: { phase: string }) => one.phase));
    expect(phases).toContain('agent_speaking');
    expect(list.named('changes').at(-1)!.data.ended).toMatchObject([{ callId: 'told', endReason: 'transferred' }]);
    list.close();
  }, 30_000);

  it('is told again from where a reader was, and from the start to one who was nowhere', async () => {
    const call = new TestCall(gateway.url, 'resumed', OPERATOR);
    await call.create();
    const first = await followed('resumed');
    await first.until((it) => it.named('call').length === 1);
    const id = first.events.findLast((one) => one.id !== undefined)!.id!;
    first.close();
    await call.send({ dtmf: '1' });
    const second = await followed('resumed', { ...OPERATOR, 'last-event-id': id });
    const stranger = await followed('resumed', { ...OPERATOR, 'last-event-id': 'not.1.2' });
    await call.end();
    await Promise.all([second, stranger].map((client) => client.until((it) => it.isOver)));
    expect(second.named('call')).toEqual([]);
    expect(second.named('event').map(({ data }) => data.type)).toContain('dtmf');
    expect(stranger.events.slice(0, 2).map(({ event }) => event)).toEqual(['gap', 'call']);
  });
});

describe('who may look', () => {
  it("sees its own tenant's calls, no words and no numbers where its key may not, and cannot end them", async () => {
    const call = new TestCall(gateway.url, 'guarded', OPERATOR);
    await call.create({ callerNumber: CALLER_NUMBER });
    const url = `${gateway.url}/api/voice/events`;
    const [whole, masked, foreign] = await Promise.all([
      EventClient.open(`${url}?numbers=full`, OPERATOR),
      EventClient.open(url, LOOKER),
      EventClient.open(url, BETA),
    ]);
    const snapshot = async (client: EventClient) => {
      await client.until((it) => it.named('snapshot').length === 1);
      client.close();
      return client.named('snapshot')[0]!.data.calls;
    };
    expect(await snapshot(whole)).toMatchObject([{ callId: 'guarded', callerNumber: CALLER_NUMBER }]);
    expect(await snapshot(masked)).toMatchObject([{ callId: 'guarded', callerNumber: '…44' }]);
    expect(await snapshot(foreign)).toEqual([]);
    expect((await http('GET', `${url}?numbers=full`, undefined, LOOKER)).status).toBe(403);
    expect((await followed('guarded', BETA)).status).toBe(404);
    for (const action of ['session/guarded/end', 'session/create', 'stream/guarded']) {
      expect((await http('POST', `${gateway.url}/api/voice/${action}`, {}, LOOKER)).status, action).toBe(403);
    }
    expect((await http('GET', `${gateway.url}/api/voice/stream/guarded/response`, undefined, LOOKER)).status).toBe(403);
    await call.end();
  });

  it('is written down, and so is who searched what, for the operator to read', async () => {
    const call = new TestCall(gateway.url, 'looked-at', OPERATOR);
    await call.create();
    const client = await followed('looked-at');
    await client.until((it) => it.named('call').length === 1);
    await call.end();
    const history = (path: string, headers: Record<string, string>) =>
      http('GET', `${gateway.url}/api/voice/calls${path}`, undefined, headers);
    await expect.poll(async () => (await history('/looked-at', OPERATOR)).status).toBe(200);
    expect((await history('/looked-at', LOOKER)).body.transcript).toEqual([]);
    expect((await history('?format=csv', OPERATOR)).status).toBe(200);
    for (const query of ['?format=csv', '?q=hello']) expect((await history(query, LOOKER)).status, query).toBe(403);
    const { body } = await http('GET', `${gateway.url}/api/voice/looks?call=looked-at`, undefined, OPERATOR);
    expect(body.looks.map((one: { who: string; what: string }) => [one.who, one.what])).toEqual([
      ['operator', 'export'],
      ['operator', 'call'],
      ['operator', 'live'],
    ]);
    expect((await http('GET', `${gateway.url}/api/voice/looks`, undefined, BETA)).status).toBe(403);
  });
});

it('ends every stream when the gateway stops', async () => {
  const call = new TestCall(gateway.url, 'last', OPERATOR);
  await call.create();
  const list = await EventClient.open(`${gateway.url}/api/voice/events`, OPERATOR);
  const one = await followed('last');
  await Promise.all([list, one].map((client) => client.until((it) => it.events.length > 0)));
  await gateway.stop();
  await Promise.all([list, one].map((client) => client.until((it) => it.isOver)));
  expect(list.events.at(-1)).toMatchObject({ event: 'bye' });
  expect(one.events.at(-1)!.event).toMatch(/^(end|bye)$/);
});
