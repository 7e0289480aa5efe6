import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AgentProfile } from '../../src/backend/profiles/agent-profile.ts';
import type { Faults, SimulatorConnection } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  deliveredMs,
  eventually,
  FIXTURES,
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

const LONG = manifest.agentLines['long-explanation']!;
const FILLER = { ...QUIET_PROFILE, filler: `${FIXTURES}agent/one-moment.wav` } satisfies AgentProfile;
const FALLBACK = { ...QUIET_PROFILE, transferExtensions: ['200'], fallbackExtension: '200' } satisfies AgentProfile;

const APPEND = 'input_audio_buffer.append';
const TRANSCRIBED = 'conversation.item.input_audio_transcription.completed';

let gateway: TestGateway;
let calls = 0;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    // The words of a turn are there before the answer begins.
    simulator: { responseDelayMs: 300, speedup: 40 },
    profiles: { quiet: QUIET_PROFILE, filler: FILLER, fallback: FALLBACK },
    overrides: {
      reconnect: { firstBackoffMs: 20, maxBackoffMs: 100, pingIntervalMs: 1_000, maxAttempts: 4 },
      fillerAfterMs: 50,
    },
  });
});
afterEach(() => {
  gateway.simulator.setDefaultFaults({});
});
afterAll(() => gateway.stop());

async function begin(faults: Faults = {}, aiAgentRef = 'quiet') {
  const call = new TestCall(gateway.url, `reconnecting-${++calls}`);
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

/** What a connection was told of the conversation before it. */
function replayOf(connection: SimulatorConnection): string[] {
  return received(connection, 'conversation.item.create').map(({ item }) => {
    const { type, role, content, name, output } = item as Record<string, never> & { content?: { text: string }[] };
    return type === 'message' ? `${role}: ${content?.map(({ text }) => text).join(' ')}` : `${type}: ${name ?? output}`;
  });
}

async function eventTypes(call: TestCall): Promise<string[]> {
  const { body } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
  return body.events.map(({ type }: { type: string }) => type);
}

describe('a call whose connection is lost', () => {
  it('in the middle of a reply goes on where it was', async () => {
    const { call } = await begin();
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call);
    const [connection] = gateway.simulator.connections.slice(-1) as [SimulatorConnection];
    connection.setFaults({ drop: { at: 'reply', afterMs: 1000 } });
    const again = gateway.simulator.waitForConnection();
    await say(call, 'returns');
    const second = await again;
    const asked = nextEvent(second, 'clientEvent', 'response.create');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('long-explanation')));

    // The first part was spoken and stands; then the agent is asked to go on from there.
    const [first, answer, question, part, rest, ...more] = call.lines;
    expect([first, answer, question]).toEqual([userLine('arrival'), aiLine('order-eta'), userLine('returns')]);
    expect(`[AI]: ${LONG.text}`.startsWith(part!)).toBe(true);
    expect(part!.length).toBeLessThan(LONG.text.length);
    expect(rest).toBe(aiLine('long-explanation'));
    expect(more).toEqual([]);
    expect(JSON.stringify(await asked)).toContain('do not repeat');
    expect(replayOf(second)).toEqual([
      `user: ${first!.slice('[User]: '.length)}`,
      `assistant: ${answer!.slice('[AI]: '.length)}`,
      `user: ${question!.slice('[User]: '.length)}`,
      `assistant: ${part!.slice('[AI]: '.length)}`,
    ]);
    expect(received(second, 'response.create')).toHaveLength(1);
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual(call.lines);
  });

  it('a second time, when the answer has been finished, is not answered again', async () => {
    const { call } = await begin({ drop: { at: 'reply', afterMs: 1000 } });
    const again = gateway.simulator.waitForConnection();
    await say(call, 'returns');
    const second = await again;
    const finished = nextEvent(second, 'serverEvent', 'response.done');
    await finished;
    await call.pollUntil(({ lines }) => lines.length >= 3);
    await played(call);
    const last = gateway.simulator.waitForConnection();
    second.drop();
    const third = await last;
    await eventually(() => replayOf(third).length === 3);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 5);
    expect(call.lines.slice(3)).toEqual([userLine('order'), aiLine('order-status')]);
    expect(received(third, 'response.create')).toEqual([]);
  });

  it('before the answer began has it answered once', async () => {
    const { call, connection } = await begin();
    const again = gateway.simulator.waitForConnection();
    void nextEvent(connection, 'serverEvent', TRANSCRIBED).then(() => connection.drop());
    await say(call, 'arrival');
    const second = await again;
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(received(second, 'response.create')).toHaveLength(1);
    expect(JSON.stringify(received(second, 'response.create'))).not.toContain('do not repeat');
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
  });

  it('before the words were transcribed says so in the transcript, and the agent asks again', async () => {
    const { call, connection } = await begin({ transcription: { outcome: 'late' } });
    void nextEvent(connection, 'serverEvent', 'response.created').then(() => connection.drop());
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual(['[User]: (unintelligible)', aiLine('sorry-again')]);
  });

  it('while nobody waits for anything asks for nothing', async () => {
    const { call, connection } = await begin();
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call);
    const again = gateway.simulator.waitForConnection();
    connection.drop();
    const second = await again;
    await nextEvent(second, 'serverEvent', 'conversation.item.added');
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 4);
    expect(received(second, 'response.create')).toEqual([]);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta'), userLine('order'), aiLine('order-status')]);
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual(call.lines);
  });

  it('while the caller speaks hears the rest, and keeps the last second', async () => {
    const { call, connection } = await begin({ drop: { at: 'utterance', afterMs: 500 } });
    const again = gateway.simulator.waitForConnection();
    const lost = new Promise((resolve) => connection.once('close', resolve));
    const words = speech('order');
    const cut = 1200 * BYTES_PER_MS;
    await send(call, words.subarray(0, cut));
    await lost;
    await eventually(async () => (await eventTypes(call)).includes('upstream_lost'));
    // These come while there is no connection, or on the new one.
    await send(call, Buffer.concat([words.subarray(cut), silence(800)]));
    const second = await again;
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(replayOf(second)).toEqual([]);
    // What the second connection heard is a turn, which is written down and answered, both once.
    expect(call.lines).toEqual([expect.stringMatching(/^\[User\]: ./), expect.stringMatching(/^\[AI\]: ./)]);
    expect(received(second, 'response.create')).toEqual([]);
    const { body } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
    const restored = body.events.find(({ type }: { type: string }) => type === 'upstream_restored');
    expect(restored).toMatchObject({ attempt: 1, droppedAudioMs: expect.any(Number) });
    // Everything else came up: what the ring did not hold is known.
    const keptMs = second.received.reduce((sum, { type, count = 1 }) => sum + (type === APPEND ? count * 100 : 0), 0);
    expect(keptMs + restored.droppedAudioMs).toBeGreaterThanOrEqual((words.length - cut) / BYTES_PER_MS - 100);
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual(call.lines);
  });

  it('forgets no playback: what is still playing can be interrupted, and is told anew as heard', async () => {
    const { call, connection } = await begin({ bargeIn: 'after_generation' });
    await say(call, 'returns');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call, 2000);
    const again = gateway.simulator.waitForConnection();
    connection.drop();
    const second = await again;
    await eventually(() => replayOf(second).length >= 2);
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(call.generation).toBe(1);
    // Text cannot be truncated upstream: it is replaced.
    expect(received(second, 'conversation.item.truncate')).toEqual([]);
    expect(received(second, 'conversation.item.delete')).toHaveLength(1);
    const said = second.items.map((item) => JSON.stringify(item));
    const { summary } = (await call.end()).body;
    const cut = summary.transcript[1].slice('[AI]: '.length);
    expect(LONG.text.startsWith(cut)).toBe(true);
    expect(cut.length).toBeLessThan(LONG.text.length);
    expect(said.filter((item) => item.includes(cut))).toHaveLength(1);
    expect(said.join()).not.toContain(LONG.text);
    expect(gateway.simulator.stats.errors).toEqual({});
  });

  it('is played the filler while it waits for its answer, once, and then the answer', async () => {
    const { call, connection } = await begin({}, 'filler');
    void nextEvent(connection, 'serverEvent', TRANSCRIBED).then(() => connection.drop());
    // The next connections are refused for a while.
    for (let i = 0; i < 3; i++) gateway.simulator.nextConnection({ refuseHandshake: { status: 503 } });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    const types = await eventTypes(call);
    expect(types.filter((type) => type === 'filler')).toHaveLength(1);
    const answerMs = manifest.agentLines['order-eta']!.durationMs;
    expect(deliveredMs(call)).toBeGreaterThan(answerMs + 500);
    expect(deliveredMs(call)).toBeLessThanOrEqual(answerMs + manifest.agentLines['one-moment']!.durationMs + 120);
    // It is no part of the conversation.
    const { summary } = (await call.end()).body;
    expect(summary.transcript.filter((line: string) => line.startsWith('[AI]'))).toEqual([aiLine('order-eta')]);
  });

  it('by silence of the upstream notices it and goes on', async () => {
    const { call } = await begin({ stall: { at: 'reply', afterMs: 500 } });
    const again = gateway.simulator.waitForConnection();
    await say(call, 'returns');
    await again;
    await call.pollUntil(({ lines }) => lines.includes(aiLine('long-explanation')));
    expect(call.lines[0]).toBe(userLine('returns'));
    expect(await eventTypes(call)).toContain('upstream_lost');
  });

  it('because its session expired goes on', async () => {
    const { call, connection } = await begin();
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    const again = gateway.simulator.waitForConnection();
    connection.setFaults({ sessionDurationMs: 0 });
    await again;
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 4);
    expect(call.lines.slice(2)).toEqual([userLine('order'), aiLine('order-status')]);
  });

  it('for good is sent to the fallback', async () => {
    const { call, connection } = await begin({}, 'fallback');
    gateway.simulator.setDefaultFaults({ refuseHandshake: { status: 503 } });
    connection.drop();
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.actions).toEqual([
      { id: expect.any(String), type: 'transfer', extension: '200', reason: expect.any(String) },
    ]);
    expect(call.endReason).toBe('upstream_failed');
    const { summary } = (await call.end()).body;
    expect(summary).toMatchObject({
      endReason: 'upstream_failed',
      actions: [
        {
          name: 'transfer_to_extension',
          by: 'gateway',
          arguments: { type: 'transfer', extension: '200', reason: 'the AI is not available' },
          outcome: 'ok',
        },
      ],
    });
  });

  it.each([
    ['cancelled', 'never asked what to do', false],
    ['ok', 'was told so', true],
  ])('for good has its transfer to the fallback recorded as %s where the client %s', async (outcome, _, asks) => {
    const { call, connection } = await begin({}, 'fallback');
    gateway.simulator.setDefaultFaults({ refuseHandshake: { status: 503 } });
    connection.drop();
    await eventually(async () => (await call.info()).body.endReason === 'upstream_failed');
    await eventually(async () => (await call.info()).body.actionsCount === 1);
    if (asks) await call.poll('timeout=2000&ack=-1');
    expect(call.actions).toHaveLength(asks ? 1 : 0);
    expect(await eventTypes(call)).not.toContain('action');
    // Whoever ends a call has what was written to it.
    const { actions } = (await call.end()).body.summary;
    expect(actions).toMatchObject([{ name: 'transfer_to_extension', by: 'gateway', outcome }]);
    expect((await eventTypes(call)).includes('action')).toBe(asks);
  });

  it('again and again, as soon as it is there, is sent to the fallback too', async () => {
    const { call, connection } = await begin({}, 'fallback');
    const before = gateway.simulator.stats.connectionsTotal;
    gateway.simulator.setDefaultFaults({ drop: { at: 'connected', afterMs: 30 } });
    connection.drop();
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.actions).toMatchObject([{ type: 'transfer', extension: '200' }]);
    expect(call.endReason).toBe('upstream_failed');
    // Connections that did not last count as attempts.
    expect(gateway.simulator.stats.connectionsTotal).toBe(before + 4);
  });

  it('is not tried again where the upstream says no', async () => {
    const { call, connection } = await begin({}, 'fallback');
    const refusedBefore = gateway.simulator.stats.handshakesRefused['401'] ?? 0;
    gateway.simulator.setDefaultFaults({ refuseHandshake: { status: 401 } });
    connection.drop();
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.endReason).toBe('upstream_failed');
    expect(gateway.simulator.stats.handshakesRefused['401']).toBe(refusedBefore + 1);
  });
});
