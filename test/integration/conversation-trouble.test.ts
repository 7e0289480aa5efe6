import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Faults } from '../../src/simulator/server.ts';
import { http, TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  eventually,
  lineBytes,
  manifest,
  nextEvent,
  played,
  received,
  say,
  userLine,
} from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const MAX_OUTBOX_MS = 2_000;
const GREETING = manifest.agentLines['greeting']!.text;

let gateway: TestGateway;
let calls = 0;
let current: TestCall | undefined;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    simulator: { speedup: 40 },
    profiles: {
      quiet: QUIET_PROFILE,
      greeting: { ...QUIET_PROFILE, greeting: { say: GREETING } },
      fallback: { ...QUIET_PROFILE, transferExtensions: ['200'], fallbackExtension: '200' },
    },
  });
});
afterEach(() => current?.end());
afterAll(() => gateway.stop());

async function begin(faults: Faults, aiAgentRef = 'quiet') {
  const call = new TestCall(gateway.url, `trouble-${++calls}`);
  current = call;
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

describe('a response that fails', () => {
  it('is asked for once more', async () => {
    const { call, connection } = await begin({ failResponses: { code: 'server_error', times: 1 } });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
    expect(received(connection, 'response.create')).toHaveLength(1);
  });

  it('is asked for with the words it was to have', async () => {
    const { call } = await begin({ failResponses: { code: null, message: 'out of order', times: 1 } }, 'greeting');
    await call.pollUntil(({ lines }) => lines.length > 0);
    expect(call.lines).toEqual([aiLine('greeting')]);
  });

  it('twice sends the call to its fallback', async () => {
    const { call } = await begin({ failResponses: { code: 'inference_rate_limit_exceeded' } }, 'fallback');
    await say(call, 'arrival');
    await call.pollUntil(({ hasMore }) => !hasMore);
    expect(call.actions).toMatchObject([{ type: 'transfer', extension: '200' }]);
    expect(call.endReason).toBe('upstream_failed');
    const { summary } = (await call.end()).body;
    expect(summary).toMatchObject({ endReason: 'upstream_failed', transcript: [userLine('arrival')] });
  });

  it('in the meantime answered by the next turn is not asked for again', async () => {
    const { call, connection } = await begin({ failResponses: { code: 'server_error', times: 1 } });
    const failed = nextEvent(connection, 'serverEvent', 'response.done');
    await say(call, 'arrival');
    await failed;
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-status')));
    expect(received(connection, 'response.create').length).toBeLessThanOrEqual(1);
    expect(call.lines.filter((line) => line === aiLine('order-status'))).toHaveLength(1);
  });

  it.each(['max_output_tokens', 'content_filter'] as const)(
    'half-way (%s) stands as far as it came',
    async (reason) => {
      const { call } = await begin({ incompleteResponses: { reason, times: 1 } });
      await say(call, 'returns');
      await call.pollUntil(({ lines }) => lines.length >= 2);
      expect(aiLine('long-explanation').startsWith(call.lines[1]!)).toBe(true);
      await played(call);
      await say(call, 'arrival');
      await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    },
  );
});

describe('transcription', () => {
  it('that is refused leaves the call its answers, and is counted and told', async () => {
    const { call } = await begin({ refuseTranscription: { code: 'model_not_found' } });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    const { body: timeline } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
    expect(timeline.events.map(({ type }: { type: string }) => type)).toContain('transcription_refused');
    const { body: metrics } = await http('GET', `${gateway.url}/metrics`);
    expect(metrics).toContain('voice_gateway_upstream_errors_total{class="transcription_refused"} 1');
    expect((await call.end()).body.summary.transcript).toEqual([aiLine('order-eta')]);
  });

  it('that comes late keeps its place in the summary, and holds nothing up', async () => {
    const { call } = await begin({ transcription: { outcome: 'late' } });
    for (const utterance of ['arrival', 'order'] as const) {
      const count = call.lines.length;
      await say(call, utterance);
      await call.pollUntil(({ lines }) => lines.length >= count + 2);
      await played(call);
    }
    expect((await call.end()).body.summary.transcript).toEqual([
      userLine('arrival'),
      aiLine('order-eta'),
      userLine('order'),
      aiLine('order-status'),
    ]);
  });

  it('that fails leaves a note', async () => {
    const { call } = await begin({ transcription: { outcome: 'failed', code: 'DeploymentNotFound' } });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect([...call.lines].sort()).toEqual([aiLine('order-eta'), '[User]: (unintelligible)']);
    expect((await call.end()).body.summary.transcript).toEqual(['[User]: (unintelligible)', aiLine('order-eta')]);
  });

  it('that never comes holds nothing up', async () => {
    const { call } = await begin({ transcription: { outcome: 'never' } });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 1);
    expect(call.lines).toEqual([aiLine('order-eta')]);
  });
});

describe('an upstream that says something else', () => {
  it('than is known, in types and fields, is understood all the same', async () => {
    const { call } = await begin({ unknownEvents: true });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
  });

  it('than its own schema allows costs no call', async () => {
    const { call, connection } = await begin({});
    const transcribed = 'conversation.item.input_audio_transcription.completed';
    for (const type of ['response.done', 'response.created', 'conversation.item.added', transcribed]) {
      connection.send({ type });
    }
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.lines).toEqual([userLine('arrival'), aiLine('order-eta')]);
    const { body } = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
    const reasons = body.events
      .filter(({ type }: { type: string }) => type === 'event_unusable')
      .map(({ reason, count }: { reason: string; count: number }) => [reason, count]);
    expect(reasons).toEqual([
      ['response', 2],
      ['item', 1],
      ['id', 1],
    ]);
  });

  it('in two items, the end of one behind the beginning of the other, is heard and written down in order', async () => {
    const { call } = await begin({ overlappingItems: true });
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 3);
    const [user, first, second] = call.lines;
    expect([user, first]).toEqual([userLine('arrival'), aiLine('order-eta')]);
    const other = Object.entries(manifest.agentLines).find(([, { text }]) => `[AI]: ${text}` === second)![0];
    // The first one's last frame is filled up before the second begins.
    expect(call.heardBytes.get(0)).toBe(lineBytes('order-eta') + lineBytes(other));
    expect((await call.end()).body.summary.transcript).toEqual(call.lines);
  });

  it('in text instead of speech is asked to say it', async () => {
    const { call, connection } = await begin({});
    const created = nextEvent(connection, 'clientEvent', 'response.create');
    const output = [
      {
        id: 'item_t',
        type: 'message',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'Hi' }],
      },
    ];
    const response = { id: 'resp_t', object: 'realtime.response', conversation_id: 'conv_1', metadata: null };
    connection.send({ type: 'response.created', response: { ...response, status: 'in_progress', output: [] } });
    connection.send({ type: 'response.done', response: { ...response, status: 'completed', output, usage: null } });
    await created;
    await call.pollUntil(({ lines }) => lines.length > 0);
  });
});

describe('a client that does not fetch the reply', () => {
  it('has it cancelled when too much is queued, and what was queued stands', async () => {
    const crowded = await startGateway({
      env: { SESSION_WORKERS: '1' },
      profiles: { quiet: QUIET_PROFILE },
      overrides: { maxOutboxMs: MAX_OUTBOX_MS },
    });
    try {
      const call = new TestCall(crowded.url, 'crowded');
      await call.create({ aiAgentRef: 'quiet' });
      const [connection] = crowded.simulator.connections;
      const done = nextEvent(connection!, 'serverEvent', 'response.done');
      await say(call, 'returns');
      const { response } = (await done) as { response: { status: string } };
      expect(response.status).toBe('cancelled');
      // What the upstream generated and nobody fetches is cut from its memory.
      await eventually(() => received(connection!, 'conversation.item.truncate').length === 1);
      await call.pollUntil(({ lines }) => lines.length >= 2);
      const queuedMs = (call.heardBytes.get(0) ?? 0) / BYTES_PER_MS;
      // One piece of a reply may take it past the limit.
      expect(queuedMs).toBeGreaterThan(MAX_OUTBOX_MS);
      expect(queuedMs).toBeLessThan(MAX_OUTBOX_MS + 700);
      expect(aiLine('long-explanation').startsWith(call.lines[1]!)).toBe(true);
      expect(call.lines[1]!.length).toBeLessThan(aiLine('long-explanation').length);
      await played(call);
      await say(call, 'arrival');
      await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
      const { body } = await http('GET', `${crowded.url}/metrics`);
      expect(body).toContain('voice_gateway_audio_rejected_total{reason="outbox_full"} 1');
    } finally {
      await crowded.stop();
    }
  });
});
