import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waterfall } from '../../scripts/waterfall.ts';
import type { CallEvents } from '../../src/call/call-info.ts';
import { CallTimeline } from '../../src/call/record/timeline.ts';
import { type Turn, turnsOf } from '../../src/call/record/turns.ts';
import { NO_TOKENS } from '../../src/upstream/usage.ts';
import { http, TestCall } from '../support/call.ts';
import type { TestGateway } from '../support/gateway.ts';
import {
  askingCall,
  droppedCall,
  eventsOf,
  interruptingCall,
  say,
  spoken,
  startObserved,
  untidyCall,
} from './support/calls.ts';

function timelineOf(...entries: [type: string, atMs: number, details?: object][]): CallTimeline {
  const timeline = new CallTimeline(() => 0);
  for (const [type, atMs, details = {}] of entries) timeline.add(type, { ...details }, atMs);
  return timeline;
}

describe('a timeline', () => {
  it('is in the order of its times, whenever they became known', () => {
    const timeline = timelineOf(['handed_over', 30], ['first_delta', 20], ['response_started', 10]);
    expect(timeline.events.map(({ type }) => type)).toEqual(['response_started', 'first_delta', 'handed_over']);
  });

  it('counts what happens again and again, until something else happens', () => {
    let nowMs = 0;
    const timeline = new CallTimeline(() => nowMs);
    for (let i = 0; i < 5; i++) {
      nowMs += 100;
      timeline.tally('chunk_rejected', 'odd_length');
    }
    timeline.tally('chunk_rejected', 'late');
    nowMs = 900;
    timeline.add('speech_started');
    timeline.tally('chunk_rejected', 'late', 3);
    expect(timeline.events).toEqual([
      { atMs: 100, type: 'chunk_rejected', reason: 'odd_length', count: 5, untilMs: 500 },
      { atMs: 500, type: 'chunk_rejected', reason: 'late', count: 1 },
      { atMs: 900, type: 'speech_started' },
      { atMs: 900, type: 'chunk_rejected', reason: 'late', count: 3 },
    ]);
  });

  it('keeps the first and the last of a very long call, and says how many it left out', () => {
    const timeline = new CallTimeline(() => 0);
    for (let i = 0; i < 5_000; i++) timeline.add('event', { i }, i);
    const numbers = timeline.events.map(({ i }) => i);
    expect(numbers).toHaveLength(2_000);
    expect(numbers.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(numbers.at(-1)).toBe(4_999);
    expect(timeline.omitted).toBe(3_000);
  });
});

describe('turns', () => {
  const turns = (...entries: [string, number, object?][]): Turn[] => turnsOf(timelineOf(...entries).events);

  it('have the hops between the last word and the reply, each with what it took', () => {
    const [turn] = turns(
      ['speech_started', 1000],
      ['speech_stopped', 2500],
      ['response_started', 2520],
      ['first_delta', 2700],
      ['transcribed', 2701],
      ['in_outbox', 2703.5],
      ['handed_over', 2710],
      ['response_done', 3000, { status: 'completed' }],
    );
    expect(turn).toEqual({
      turn: 1,
      trigger: 'speech',
      atMs: 2500,
      speechMs: 1500,
      hops: [
        { hop: 'response_started', atMs: 2520, tookMs: 20 },
        { hop: 'first_delta', atMs: 2700, tookMs: 180 },
        { hop: 'in_outbox', atMs: 2703.5, tookMs: 3.5 },
        { hop: 'handed_over', atMs: 2710, tookMs: 6.5 },
      ],
      latencyMs: 210,
      status: 'completed',
    });
  });

  it('are answered once, however much follows a tool', () => {
    const [turn, ...others] = turns(
      ['speech_stopped', 100],
      ['response_started', 110],
      ['first_delta', 200],
      ['handed_over', 210],
      ['tool', 900, { name: 'look_up' }],
      ['response_started', 920],
      ['first_delta', 1000],
      ['handed_over', 1010],
    );
    expect(others).toEqual([]);
    expect(turn?.latencyMs).toBe(110);
    expect(turn?.hops[3]).toEqual({ hop: 'tool', atMs: 900, tookMs: 690, tool: 'look_up' });
    expect(turn?.hops).toHaveLength(7);
  });

  it('tell how long a tool and an outage took apart from what was said before', () => {
    const [turn] = turns(
      ['speech_stopped', 100],
      ['response_started', 110],
      ['tool', 900, { name: 'look_up', durationMs: 250 }],
      ['upstream_lost', 2_000],
      ['upstream_restored', 2_400, { outageMs: 400, attempt: 2 }],
    );
    expect(turn?.hops.slice(1)).toEqual([
      { hop: 'tool', atMs: 900, tookMs: 790, tool: 'look_up', durationMs: 250 },
      { hop: 'upstream_restored', atMs: 2_400, tookMs: 1_500, durationMs: 400 },
    ]);
  });

  it('have no greeting where nobody greets, and one greeting however often the call changes workers', () => {
    expect(turns(['ready', 10], ['speech_stopped', 900], ['response_started', 950])).toMatchObject([
      { turn: 1, trigger: 'speech' },
    ]);
    expect(
      turns(['ready', 10], ['response_started', 20], ['handed_over', 90], ['ready', 500], ['response_started', 510]),
    ).toMatchObject([{ trigger: 'greeting', latencyMs: 80 }]);
  });

  it('leave out what was no turn, and lose nothing to it', () => {
    const found = turns(
      ['speech_stopped', 100],
      ['response_started', 110],
      ['handed_over', 150],
      ['speech_started', 300],
      ['speech_stopped', 350],
      ['speech_ignored', 360],
      ['response_done', 400, { status: 'completed' }],
    );
    expect(found).toMatchObject([{ turn: 1, atMs: 100, latencyMs: 50, status: 'completed' }]);
  });

  it('are interrupted by the caller’s next word', () => {
    const found = turns(
      ['speech_stopped', 100],
      ['handed_over', 150],
      ['speech_started', 900],
      ['interrupted', 902, { reactionMs: 2, heardMs: 740, generation: 1 }],
      ['speech_stopped', 1500],
    );
    expect(found).toMatchObject([
      { interrupted: { atMs: 902, reactionMs: 2, heardMs: 740 } },
      { turn: 2, speechMs: 600 },
    ]);
    expect(found[1]?.interrupted).toBeUndefined();
  });
});

describe('the events of a call', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startObserved();
  });
  afterAll(() => gateway.stop());

  it('tell every turn with its hops, after the end too', async () => {
    const call = await askingCall(gateway, 'asking');
    const events: CallEvents = await eventsOf(call);
    expect(events).toMatchObject({
      callId: 'asking',
      tenantId: 'default',
      aiAgentRef: 'customer-care-voice',
      status: 'ended',
      endReason: 'completed',
      omittedEvents: 0,
      figures: { turns: 1, reconnects: 0, toolCalls: 0, audioSeconds: { up: 4.5 }, droppedChunks: 0 },
    });
    expect(events.turns.map(({ trigger }) => trigger)).toEqual(['greeting', 'speech']);
    for (const { hops, atMs, latencyMs } of events.turns) {
      expect(hops.map(({ hop }) => hop)).toEqual(['response_started', 'first_delta', 'in_outbox', 'handed_over']);
      expect(hops.reduce((sum, { tookMs }) => sum + tookMs, 0)).toBeCloseTo(latencyMs!, 0);
      expect(hops.every((hop) => hop.tookMs >= 0 && hop.atMs >= atMs)).toBe(true);
    }
    expect(events.figures.setupMs).toBeGreaterThan(0);
    expect(events.figures.medianTurnMs).toBeCloseTo(events.turns[1]!.latencyMs!, -1);
    expect(events.figures.tokens['output_audio']).toBeGreaterThan(0);
    const times = events.events.map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('tell interruptions, tools and how the call was handed on', async () => {
    const events: CallEvents = await eventsOf(await interruptingCall(gateway, 'interrupting'));
    const [answer, transfer] = events.turns;
    expect(answer?.interrupted).toEqual({
      atMs: expect.any(Number),
      reactionMs: expect.any(Number),
      heardMs: expect.any(Number),
    });
    expect(answer?.status).toBe('cancelled');
    expect(transfer?.hops).toContainEqual(expect.objectContaining({ hop: 'tool', tool: 'transfer_to_extension' }));
    expect(events).toMatchObject({ endReason: 'transferred', figures: { interruptions: 1, toolCalls: 1, turns: 2 } });
    expect(events.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['first_chunk', 'interrupted', 'truncated', 'action', 'tool', 'ending', 'ended']),
    );
  });

  it('tell reconnects', async () => {
    const events: CallEvents = await eventsOf(await droppedCall(gateway, 'dropped'));
    expect(events.figures.reconnects).toBe(1);
    expect(events.events).toContainEqual(expect.objectContaining({ type: 'upstream_lost', code: 'close_1006' }));
    expect(events.events).toContainEqual(expect.objectContaining({ type: 'upstream_restored', attempt: 1 }));
    expect(events.turns[0]?.hops).toContainEqual(expect.objectContaining({ hop: 'upstream_restored' }));
  });

  it('tell chunks that were missing, late, sent twice or no audio', async () => {
    const events: CallEvents = await eventsOf(await untidyCall(gateway, 'untidy'));
    expect(events.figures.droppedChunks).toBe(2);
    for (const [type, reason] of [
      ['chunks_missing', 'gap'],
      ['chunk_rejected', 'late'],
      ['chunk_rejected', 'repeat'],
      ['chunk_rejected', 'odd_length'],
    ] as const) {
      expect(events.events).toContainEqual(expect.objectContaining({ type, reason, count: 1 }));
    }
    expect(events.turns).toMatchObject([{ trigger: 'dtmf' }]);
  });

  it('quote nobody', async () => {
    const text = JSON.stringify(
      await Promise.all(['asking', 'interrupting'].map((id) => eventsOf(new TestCall(gateway.url, id)))),
    );
    expect(text).not.toMatch(/39329762|four seven one one|person|colleague/);
  });

  it('are in the OpenAPI document', async () => {
    const { body } = await http('GET', `${gateway.url}/docs/json`);
    expect(Object.keys(body.paths)).toContain('/api/voice/session/{callId}/events');
  });
});

describe('whose events', () => {
  const operator = { 'x-api-key': 'key-of-the-operator' };
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startObserved({ env: { W3_VOICE_GATEWAY_API_KEY: operator['x-api-key'] } });
  });
  afterAll(() => gateway.stop());

  const eventsUrl = (callId: string) => `${gateway.url}/api/voice/session/${callId}/events`;

  it('are told to the tenant of the call only', async () => {
    const call = new TestCall(gateway.url, 'shared', { ...operator, 'x-tenant-id': 'one' });
    await call.create({ aiAgentRef: 'brief' });
    expect((await http('GET', eventsUrl('shared'))).status).toBe(401);
    expect((await http('GET', eventsUrl('shared'), undefined, { ...operator, 'x-tenant-id': 'two' })).status).toBe(404);
    const own = await http('GET', eventsUrl('shared'), undefined, call.headers);
    expect(own).toMatchObject({ status: 200, body: { tenantId: 'one', status: 'active' } });
    const other = new TestCall(gateway.url, 'shared', { ...operator, 'x-tenant-id': 'two' });
    await other.create({ aiAgentRef: 'brief' });
    expect(await http('GET', eventsUrl('shared'), undefined, operator)).toMatchObject({
      status: 409,
      body: { code: 'ambiguous_call_id' },
    });
    await Promise.all([call.end(), other.end()]);
  });

  it('are printed by the trace command', async () => {
    const call = new TestCall(gateway.url, 'traced', operator);
    await call.create({ aiAgentRef: 'brief' });
    await say(call, spoken('order-status-16k', 3.5, 7));
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await call.end();
    const { code, stdout } = await trace(['traced', '--url', gateway.url, '--key', operator['x-api-key']]);
    expect(code).toBe(0);
    expect(stdout).toContain('call traced of default: completed');
    expect(stdout).toMatch(/turn 1: the caller spoke for [\d.]+ ms, answered in [\d.]+ ms/);
    expect(stdout).toMatch(/handed to the client +[\d.]+ ms │ *█+ *│/);
    expect(stdout).toMatch(/\d:\d\d\.\d{3} {2}ended +reason completed/);
    const json = await trace(['traced', '--url', gateway.url, '--key', operator['x-api-key'], '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ callId: 'traced' });
    const unknown = await trace(['nobody', '--url', gateway.url, '--key', operator['x-api-key']]);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('callId is "nobody"') });
  });
});

async function trace(args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../scripts/trace.ts', import.meta.url)), ...args]);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

describe('a waterfall', () => {
  const call: CallEvents = {
    callId: 'long',
    tenantId: 't',
    sessionId: 's',
    aiAgentRef: 'a',
    encoding: 'pcmu',
    sampleRate: 8000,
    status: 'active',
    createdAt: '2026-01-01T00:00:00.000Z',
    figures: {
      turns: 1,
      interruptions: 0,
      reconnects: 2,
      toolCalls: 0,
      model: 'm',
      models: [],
      currency: 'USD',
      tokens: { ...NO_TOKENS, input_audio: 12 },
      audioSeconds: { up: 61, down: 0 },
      droppedChunks: 1,
      droppedAudioMs: 400,
    },
    turns: [],
    events: [],
    omittedEvents: 0,
  };

  it('says what was left out, what went wrong and what was never there', () => {
    const silence = {
      atMs: 61_000.4,
      type: 'response_done',
      status: 'failed',
      tokens: { ...NO_TOKENS, input_audio: 12 },
    };
    const failed: CallEvents = {
      ...call,
      turns: [{ turn: 1, trigger: 'no_input', atMs: 61_000, hops: [], status: 'failed' }],
      events: [silence],
      omittedEvents: 7,
    };
    expect(waterfall(failed).split('\n')).toEqual([
      'call long of t: active',
      '  2026-01-01T00:00:00.000Z, agent a, pcmu 8000 Hz, session s',
      '  never ready, 1 caller turn, no interruptions, no tool calls, 2 reconnects',
      '  audio 61 s up, 0 s down, 1 chunk dropped, 400 ms lost while reconnecting',
      '  tokens: input_audio 12',
      '',
      ' 1:01.000  turn 1: nothing was said, no audio was handed over, response failed',
      '',
      'events',
      '   1:01.000  response_done        status failed, tokens (input_audio 12)',
      '  (7 left out of the middle)',
    ]);
  });

  it('draws each step from where it began to where it ended, and an outage where it was', () => {
    const hops = [
      { hop: 'response_started', atMs: 1_000, tookMs: 1_000 },
      { hop: 'first_delta', atMs: 2_000, tookMs: 1_000 },
      { hop: 'upstream_restored', atMs: 4_000, tookMs: 2_000, durationMs: 500 },
    ];
    const turn = { turn: 1, trigger: 'speech' as const, speechMs: 1_200, atMs: 0, hops };
    const [title, ...bars] = waterfall({ ...call, turns: [turn] })
      .split('\n')
      .slice(6, 10);
    expect(title).toBe(' 0:00.000  turn 1: the caller spoke for 1200 ms, no audio was handed over');
    const bar = (from: number, to: number) =>
      '│'
        .concat(' '.repeat(from), '█'.repeat(to - from))
        .padEnd(41)
        .concat('│');
    expect(bars).toEqual([
      `  response started             1000 ms ${bar(0, 10)}`,
      `  first audio from the AI      1000 ms ${bar(10, 20)}`,
      `  upstream reconnected          500 ms ${bar(35, 40)}`,
    ]);
  });
});
