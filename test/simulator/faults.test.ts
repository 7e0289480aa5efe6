import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FAULT_NAMES, FaultBudget, type Faults, faultsFromQuery } from '../../src/simulator/faults.ts';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, joined, manifest, silence, speech, TestClient } from './client.ts';

const TRANSFER = { type: 'function', name: 'transfer_to_extension', parameters: { type: 'object' } };
const operator = {
  type: 'conversation.item.create',
  item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'operator' }] },
};

let simulator: RealtimeSimulator;
beforeEach(async () => {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, speedup: 20 });
});
afterEach(() => simulator.close());

function connect(faults: Faults): Promise<TestClient> {
  simulator.nextConnection(faults);
  return TestClient.connect(simulator.url);
}

describe('a dropped connection', () => {
  it('breaks in the middle of a reply', async () => {
    const client = await connect({ drop: { at: 'reply', afterMs: 300 } });
    client.send({ type: 'response.create' });
    expect(await client.closed).toEqual({ code: 1006, reason: '' });
    const sentMs = client
      .all('response.output_audio.delta')
      .reduce((sum, { delta }) => sum + Buffer.from(delta, 'base64').length / 48, 0);
    expect(sentMs).toBeLessThan(manifest.agentLines.greeting!.durationMs);
    expect(client.types).not.toContain('response.done');
    expect(simulator.connections).toEqual([]);
  });

  it('closes with a code', async () => {
    const client = await connect({ drop: { at: 'reply', closeCode: 1011 } });
    client.send({ type: 'response.create' });
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(client.types).toContain('response.output_audio.delta');
  });

  it('breaks while the caller speaks', async () => {
    const client = await connect({ drop: { at: 'utterance', afterMs: 400 } });
    client.stream(joined(silence(500), speech(2000)));
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(client.types.at(-1)).toBe('input_audio_buffer.speech_started');
  });

  it('breaks while a tool runs', async () => {
    const client = await connect({ drop: { at: 'tool', afterMs: 20 } });
    await client.update({ tools: [TRANSFER] });
    client.send(operator);
    client.send({ type: 'response.create' });
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(client.types).toContain('response.done');
    expect(client.types).toContain('response.function_call_arguments.done');
  });

  it('breaks for no reason, once', async () => {
    const client = await connect({ drop: { at: 'connected' } });
    expect(await client.closed).toMatchObject({ code: 1006 });
    const next = await TestClient.connect(simulator.url);
    await next.update({});
  });
});

describe('a stalled connection', () => {
  it('answers neither events nor pings, but stays open', async () => {
    const client = await connect({ stall: { at: 'reply', afterMs: 200 } });
    client.socket.ping();
    await once(client.socket, 'pong');

    client.send({ type: 'response.create' });
    await client.next('response.output_audio.delta');
    await client.next('response.output_audio.delta');
    let pongs = 0;
    client.socket.on('pong', () => {
      pongs += 1;
    });
    client.socket.ping();
    const [connection] = simulator.connections;
    const heard = once(connection!, 'clientEvent');
    client.send({ type: 'response.create' });
    await heard;
    // The connection still receives, so whatever it meant to answer would have been sent by the time another one has.
    await TestClient.connect(simulator.url);
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    expect(client.types).not.toContain('response.done');
    expect(client.all('response.output_audio.delta')).toHaveLength(2);
    expect(pongs).toBe(0);
  });
});

describe('a slow service', () => {
  it('holds every event back, and keeps their order', async () => {
    const client = await connect({ eventDelayMs: 30 });
    client.send({ type: 'response.create' });
    await client.next('response.done');
    const ids = client.events.map((event) => ('event_id' in event ? event.event_id : ''));
    expect(ids).toEqual([...ids].sort());
  });

  it('still sends what it held back before it closes', async () => {
    const client = await connect({ eventDelayMs: 60_000, sessionDurationMs: 20 });
    expect(await client.closed).toMatchObject({ code: 1001 });
    expect(client.types).toEqual(['session.created', 'error']);
  });
});

describe('a session that expires', () => {
  it('says so, and closes with 1001', async () => {
    const client = await connect({ sessionDurationMs: 30 });
    const { error } = await client.next('error');
    const text = 'Your session hit the maximum duration of 60 minutes.';
    expect(error).toMatchObject({ code: 'session_expired', message: text, event_id: null });
    expect(await client.closed).toEqual({ code: 1001, reason: text });
  });

  it('announces its end in the session', async () => {
    const client = await connect({ sessionDurationMs: 60_000 });
    const { session } = client.all('session.created')[0]! as unknown as { session: { expires_at: number } };
    expect(session.expires_at).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 60);
  });
});

describe('responses that fail', () => {
  it.each(['insufficient_quota', 'rate_limit_exceeded', 'server_error', null])(
    'end with the code %s, once',
    async (code) => {
      const client = await connect({ failResponses: { code, times: 1 } });
      client.send({ type: 'response.create' });
      const { response } = await client.next('response.done');
      expect(response).toMatchObject({
        status: 'failed',
        status_details: {
          type: 'failed',
          error: { type: expect.any(String), code, message: expect.stringMatching(/./) },
        },
        output: [],
      });
      client.send({ type: 'response.create' });
      expect((await client.next('response.done')).response.status).toBe('completed');
    },
  );

  it('end so every time, with the message given', async () => {
    const client = await connect({ failResponses: { code: 'server_error', message: 'No.' } });
    for (let turn = 0; turn < 3; turn++) {
      client.send({ type: 'response.create' });
      const { response } = await client.next('response.done');
      expect(response).toMatchObject({ status: 'failed', status_details: { error: { message: 'No.' } } });
    }
  });

  it.each(['max_output_tokens', 'content_filter'] as const)('stop half-way because of %s', async (reason) => {
    const client = await connect({ incompleteResponses: { reason } });
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      status: 'incomplete',
      status_details: { type: 'incomplete', reason },
      output: [{ status: 'incomplete' }],
    });
    const heardMs = client.audioOf(response.output?.[0]?.id ?? '').length / 48;
    expect(heardMs).toBeGreaterThan(0);
    expect(heardMs).toBeLessThan(manifest.agentLines.greeting!.durationMs);
  });
});

describe('the rest of what goes wrong', () => {
  it('finishes the first item after the second has begun', async () => {
    const client = await connect({ overlappingItems: true });
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    const [first, second] = response.output ?? [];
    expect(response.output).toHaveLength(2);
    const position = (type: string, itemId: string | undefined) =>
      client.events.findIndex((event) => event.type === type && 'item_id' in event && event.item_id === itemId);
    expect(position('response.output_audio.done', first?.id)).toBeGreaterThan(
      position('response.output_audio.delta', second?.id),
    );
    expect(position('response.output_audio.done', first?.id)).toBeLessThan(
      position('response.output_audio.done', second?.id),
    );
    expect(client.all('response.output_item.done').map(({ output_index: index }) => index)).toEqual([0, 1]);
  });

  it('mixes in what nobody knows', async () => {
    const client = await connect({ unknownEvents: true });
    client.send({ type: 'response.create' });
    await client.next('response.done');
    const types: string[] = client.types;
    expect(types.filter((type) => type === 'session.unknown_to_you').length).toBeGreaterThan(1);
    expect(client.events.some((event) => 'x_unknown' in event)).toBe(true);
  });

  it('takes its audio to be shorter than it was', async () => {
    const client = await connect({ truncationShortfallMs: 85 });
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    const itemId = response.output?.[0]?.id ?? '';
    const lengthMs = Math.floor(client.audioOf(itemId).length / 48);
    const truncate = { type: 'conversation.item.truncate', item_id: itemId, content_index: 0 };
    const error = await client.refused({ ...truncate, audio_end_ms: lengthMs });
    expect(error.message).toBe(`Audio content of ${lengthMs - 85}ms is already shorter than ${lengthMs}ms`);
    client.send({ ...truncate, audio_end_ms: lengthMs - 85 });
    await client.next('conversation.item.truncated');
  });

  it('fails to transcribe', async () => {
    const client = await connect({ transcription: { outcome: 'failed', code: 'DeploymentNotFound' } });
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    client.say(500);
    const { item_id: itemId } = await client.next('input_audio_buffer.committed');
    const { event_id: _, ...failed } = await client.next('conversation.item.input_audio_transcription.failed');
    expect(failed).toEqual({
      type: 'conversation.item.input_audio_transcription.failed',
      item_id: itemId,
      content_index: 0,
      error: {
        type: 'server_error',
        code: 'DeploymentNotFound',
        message: `Input transcription failed for item '${itemId}'.`,
        param: null,
      },
    });
  });

  it('transcribes after the reply', async () => {
    const client = await connect({ transcription: { outcome: 'late' } });
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    client.say(500);
    await client.next('conversation.item.input_audio_transcription.completed');
    expect(client.types).toContain('response.done');
  });

  it('never transcribes', async () => {
    const client = await connect({ transcription: { outcome: 'never' } });
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    client.say(500);
    await client.next('response.done');
    await client.update({});
    expect(client.types.filter((type) => type.includes('transcription.'))).toEqual([]);
  });

  it('never confirms an update, though it takes effect', async () => {
    const client = await connect({ ignoreSessionUpdate: true });
    client.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'] } });
    client.send({ type: 'response.create' });
    await client.next('response.output_text.done');
    expect(client.types).not.toContain('session.updated');
  });

  it('refuses an update', async () => {
    const client = await connect({ refuseSessionUpdate: { code: 'server_error', message: 'Later.', times: 1 } });
    const error = await client.refused({ type: 'session.update', session: { type: 'realtime' } });
    expect(error).toMatchObject({ code: 'server_error', message: 'Later.', event_id: 'ev-1' });
    await client.update({});
  });
});

describe('faults of a connection', () => {
  it('go to the next connections in their order, and only to them', async () => {
    simulator.nextConnection({ failResponses: { code: 'server_error' } });
    simulator.nextConnection({ incompleteResponses: { reason: 'content_filter' } });
    const statuses = [];
    for (let n = 0; n < 3; n++) {
      const client = await TestClient.connect(simulator.url);
      client.send({ type: 'response.create' });
      statuses.push((await client.next('response.done')).response.status);
    }
    expect(statuses).toEqual(['failed', 'incomplete', 'completed']);
  });

  it('change while it is open', async () => {
    const client = await TestClient.connect(simulator.url);
    const [connection] = simulator.connections;
    connection!.setFaults({ failResponses: { code: null } });
    client.send({ type: 'response.create' });
    expect((await client.next('response.done')).response.status).toBe('failed');
    connection!.setFaults({});
    client.send({ type: 'response.create' });
    expect((await client.next('response.done')).response.status).toBe('completed');
    connection!.setFaults({ sessionDurationMs: 0 });
    expect(await client.closed).toMatchObject({ code: 1001 });
  });

  it('come with the URL', async () => {
    const client = await TestClient.connect(simulator.url, {
      fault: 'drop_mid_reply,unknown_events',
      fault_after_ms: '300',
    });
    expect(simulator.connections[0]?.faults).toEqual({ drop: { at: 'reply', afterMs: 300 }, unknownEvents: true });
    client.send({ type: 'response.create' });
    expect(await client.closed).toMatchObject({ code: 1006 });
  });

  it('are refused with the upgrade when the URL names none that exists', async () => {
    const client = new TestClient(simulator.url, { fault: 'gremlins' });
    client.socket.on('error', () => {});
    const [, response] = await once(client.socket, 'unexpected-response');
    let body = '';
    for await (const chunk of response) body += chunk;
    expect(response.statusCode).toBe(400);
    expect(JSON.parse(body).error.message).toContain('fault=gremlins is not one of refuse_handshake, ');
  });
});

describe('faultsFromQuery', () => {
  const parse = (query: string) => faultsFromQuery(new URLSearchParams(query));

  it('knows every name', () => {
    for (const name of FAULT_NAMES) expect(Object.keys(parse(`fault=${name}`)?.faults ?? {})).toHaveLength(1);
    expect(parse('model=x')).toBeUndefined();
  });

  it.each<[string, Faults]>([
    [
      'fault=refuse_handshake&fault_status=429&fault_retry_after=3',
      { refuseHandshake: { status: 429, retryAfterSeconds: 3 } },
    ],
    ['fault=slow_handshake&fault_after_ms=900', { handshakeDelayMs: 900 }],
    ['fault=drop_mid_tool&fault_close_code=1011', { drop: { at: 'tool', closeCode: 1011 } }],
    ['fault=stall_mid_utterance&fault_after_ms=50', { stall: { at: 'utterance', afterMs: 50 } }],
    ['fault=delay&fault_delay_ms=40', { eventDelayMs: 40 }],
    ['fault=expire&fault_after_ms=100', { sessionDurationMs: 100 }],
    ['fault=failed_response&fault_code=null&fault_times=1', { failResponses: { code: null, times: 1 } }],
    ['fault=incomplete_response&fault_code=content_filter', { incompleteResponses: { reason: 'content_filter' } }],
    ['fault=transcription_failed&fault_code=x', { transcription: { outcome: 'failed', code: 'x' } }],
    ['fault=truncation_shortfall&fault=barge_in_ignored', { truncationShortfallMs: 85, bargeIn: 'ignored' }],
  ])('reads %s', (query, faults) => {
    expect(parse(query)).toEqual({ faults, connections: undefined });
  });

  it.each(['fault=nothing', 'fault=', 'fault=delay&fault_delay_ms=soon', 'fault=incomplete_response&fault_code=x'])(
    'refuses %s',
    (query) => {
      expect(() => parse(query)).toThrow(/fault/);
    },
  );

  it('limits faults to some connections', () => {
    expect(parse('fault=drop&fault_count=2')).toEqual({ faults: { drop: { at: 'connected' } }, connections: 2 });
  });
});

describe('FaultBudget', () => {
  it('counts each fault by itself', () => {
    const budget = new FaultBudget();
    const twice = { times: 2 };
    expect([1, 2, 3].map(() => budget.strikes(twice))).toEqual([true, true, false]);
    expect(budget.strikes({ times: 1 })).toBe(true);
    const always = {};
    expect([1, 2, 3].map(() => budget.strikes<{ times?: number }>(always))).toEqual([true, true, true]);
    expect(budget.strikes(undefined)).toBe(false);
  });
});
