import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import type { Faults } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import {
  aiLine,
  deliveredMs,
  eventually,
  hum,
  lineBytes,
  manifest,
  nextEvent,
  played,
  received,
  say,
  send,
  silence,
  speech,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const GREETING = manifest.agentLines['greeting']!.text;
const PROFILES = {
  greeting: { ...QUIET_PROFILE, greeting: { say: GREETING } },
  protected: { ...QUIET_PROFILE, greeting: { say: GREETING, interruptible: false } },
  guarded: { ...QUIET_PROFILE, minInterruptionMs: 300 },
  prompting: {
    ...QUIET_PROFILE,
    noInput: { afterSeconds: 1, say: manifest.agentLines['still-there']!.text, hangUpAfter: 1 },
  },
  patient: { ...QUIET_PROFILE, noInput: { afterSeconds: 3, say: manifest.agentLines['still-there']!.text } },
  naming: { ...QUIET_PROFILE, noInput: { afterSeconds: 1, say: 'Are you still there, {{callerNumber}}?' } },
  short: { ...QUIET_PROFILE, maxCallSeconds: 1 },
  semantic: {
    ...QUIET_PROFILE,
    instructions: 'The caller is {{callerNumber}}, who called {{did}} of store {{storeId}}.',
    turnDetection: { type: 'semantic_vad', eagerness: 'high' },
    noiseReduction: null,
    language: 'it',
    voice: 'cedar',
    speed: 1.1,
    model: 'gpt-realtime-2.1-mini',
    transcriptionModel: 'whisper-1',
    maxOutputTokens: 500,
  },
} satisfies Record<string, AgentProfile>;

let gateway: TestGateway;
let calls = 0;
let current: TestCall | undefined;

beforeAll(async () => {
  gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: PROFILES });
});
afterEach(() => current?.end());
afterAll(() => gateway.stop());

async function begin(aiAgentRef: keyof typeof PROFILES, faults: Faults = {}, body: object = {}) {
  const call = new TestCall(gateway.url, `policy-${++calls}`);
  current = call;
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef, ...body })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

async function eventTypes(call: TestCall): Promise<string[]> {
  const { body } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
  return body.events.map(({ type }: { type: string }) => type);
}

describe('the profile', () => {
  it('reaches the upstream with what is known of the call filled in', async () => {
    const { connection } = await begin('semantic', {}, { callerNumber: '39329', did: '540', storeId: 's1' });
    expect(connection.request.model).toBe('gpt-realtime-2.1-mini');
    expect(connection.session).toMatchObject({
      instructions: 'The caller is 39329, who called 540 of store s1.',
      max_output_tokens: 500,
      audio: {
        input: {
          noise_reduction: null,
          transcription: { model: 'whisper-1', language: 'it' },
          turn_detection: { type: 'semantic_vad', eagerness: 'high', create_response: true, interrupt_response: true },
        },
        output: { voice: 'cedar', speed: 1.1 },
      },
    });
  });
});

describe('a greeting', () => {
  it('is spoken first, in the words of the profile, under its instructions', async () => {
    const { call, connection } = await begin('greeting');
    await call.pollUntil(({ lines }) => lines.length > 0);
    expect(call.lines).toEqual([aiLine('greeting')]);
    expect(connection.session.instructions).toBe(QUIET_PROFILE.instructions);
    const [{ response } = {}] = received(connection, 'response.create') as [{ response?: object }?];
    expect(response).not.toHaveProperty('instructions');
    expect(JSON.stringify(response)).toContain(GREETING);
  });

  it('gives way to the caller', async () => {
    const { call } = await begin('greeting');
    await call.pollUntil((poller) => deliveredMs(poller) > 1000);
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(call.generation).toBe(1);
  });

  it('that is not to be interrupted is spoken to its end, and the caller answered then', async () => {
    const { call, connection } = await begin('protected');
    expect(connection.session.audio.input.turn_detection).toMatchObject({ interrupt_response: false });
    await call.pollUntil((poller) => deliveredMs(poller) > 200);
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(call.generation).toBe(0);
    expect(call.heardBytes.get(0)).toBe(lineBytes('greeting') + lineBytes('order-eta'));
    expect(received(connection, 'conversation.item.truncate')).toEqual([]);
    // From then on the upstream finds and answers turns by itself, and the caller may interrupt.
    expect(connection.session.audio.input.turn_detection).toMatchObject({
      interrupt_response: true,
      create_response: true,
    });
    await played(call);
    await say(call, 'returns');
    await call.pollUntil((poller) => poller.lines.includes(userLine('returns')) && deliveredMs(poller) > 8000);
    await send(call, speech('order'));
    await call.pollUntil(({ generation }) => generation === 1);
  });
});

describe('speech shorter than the profile allows to interrupt', () => {
  it('is ignored while the agent speaks, and forgotten', async () => {
    const { call, connection } = await begin('guarded');
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) > 1000);
    const deleted = nextEvent(connection, 'serverEvent', 'conversation.item.deleted');
    await send(call, Buffer.concat([silence(400), hum(150), silence(900)]));
    await deleted;
    await call.pollUntil(({ lines }) => lines.includes(aiLine('long-explanation')));
    expect(call.generation).toBe(0);
    expect(call.heardBytes.get(0)).toBe(lineBytes('long-explanation'));
    expect(received(connection, 'response.cancel')).toEqual([]);
    expect(await eventTypes(call)).toContain('speech_ignored');
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([userLine('returns'), aiLine('long-explanation')]);
  });

  it('is obeyed when it turns out longer, though the upstream leaves the interruption to the gateway', async () => {
    const { call, connection } = await begin('guarded');
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) > 1000);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-status')));
    expect(call.generation).toBe(1);
    expect(call.heardBytes.get(1)).toBe(lineBytes('order-status'));
    expect(received(connection, 'conversation.item.truncate')).toHaveLength(1);
    const { summary } = (await call.end()).body;
    expect(summary.transcript[0]).toBe(userLine('returns'));
    expect(summary.transcript.slice(2)).toEqual([userLine('order'), aiLine('order-status')]);
    expect(gateway.simulator.stats.errors).toEqual({});
  });

  it('is a turn like any other while nobody speaks', async () => {
    const { call } = await begin('guarded');
    await send(call, Buffer.concat([silence(400), hum(150), silence(900)]));
    await call.pollUntil(({ lines }) => lines.includes(aiLine('sorry-again')));
    expect(call.lines[0]).toMatch(/^\[User\]: /);
  });
});

describe('keys', () => {
  it('are told to the agent, who answers', async () => {
    const { call, connection } = await begin('greeting');
    await call.pollUntil(({ lines }) => lines.length > 0);
    await played(call);
    await call.send({ dtmf: '4' });
    await call.send({ dtmf: '711#' });
    await call.pollUntil(({ lines }) => lines.length >= 3);
    expect(call.lines[1]).toBe('[User]: (pressed 4711#)');
    expect(call.lines[2]).toMatch(/^\[AI\]: /);
    expect(JSON.stringify(received(connection, 'conversation.item.create'))).toContain('4711#');
    expect(received(connection, 'response.create')).toHaveLength(2);
  });

  it('interrupt as speech does, and the gateway cancels what the upstream would not', async () => {
    const { call, connection } = await begin('greeting');
    await call.pollUntil((poller) => deliveredMs(poller) > 200);
    const waiting = call.pollUntil(({ generation }) => generation === 1);
    await call.send({ dtmf: '1#' });
    await waiting;
    await call.pollUntil(({ lines }) => lines.includes('[User]: (pressed 1#)'));
    await eventually(() => received(connection, 'conversation.item.truncate').length === 1);
    const before = call.lines.length;
    await call.pollUntil(({ lines }) => lines.slice(before - 1).some((line) => line.startsWith('[AI]')));
    expect(gateway.simulator.stats.errors).toEqual({});
  });
});

describe('a caller who says nothing', () => {
  it('is asked, and hung up on after that', async () => {
    const { call } = await begin('prompting');
    await send(call, silence(100));
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.lines).toEqual([aiLine('still-there')]);
    expect(call.endReason).toBe('agent_hangup');
    expect(await eventTypes(call)).toContain('no_input');
  });

  it('is asked in words that name the call', async () => {
    const { call, connection } = await begin('naming', {}, { callerNumber: '39329' });
    await send(call, silence(100));
    await eventually(() => received(connection, 'response.create').length > 0);
    expect(JSON.stringify(received(connection, 'response.create'))).toContain('Are you still there, 39329?');
  });

  it('is not hurried while the agent speaks', async () => {
    const { call } = await begin('patient');
    await say(call, 'returns');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    // Eight seconds of it are still to be played, by the clock of the gateway.
    const types = await eventTypes(call);
    await call.poll('timeout=5000');
    expect(types).not.toContain('no_input');
    expect(await eventTypes(call)).not.toContain('no_input');
  });
});

describe('a call', () => {
  it('ends when it reaches its longest duration', async () => {
    const { call } = await begin('short');
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.endReason).toBe('max_duration');
    expect((await call.end()).body.summary.endReason).toBe('max_duration');
  });
});
