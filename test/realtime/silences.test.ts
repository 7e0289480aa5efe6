import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monotonicNowMs } from '../../src/clock.ts';
import { RESPONSE_TIMES } from '../../src/realtime/response-times.ts';
import type { RealtimeSession, RealtimeSetup } from '../../src/realtime/session.ts';
import { newSession, type TestHost } from '../support/realtime.ts';
import { ScriptedUpstream } from '../support/scripted-upstream.ts';

/** Short, in the proportions of the real ones. */
const SHORT_TIMES = Object.fromEntries(
  Object.entries(RESPONSE_TIMES).map(([name, ms]) => [name, ms / 10]),
) as unknown as typeof RESPONSE_TIMES;

let upstream: ScriptedUpstream;
let session: RealtimeSession;
let host: TestHost;

beforeEach(async () => {
  upstream = await ScriptedUpstream.listen();
});
afterEach(() => {
  session.close();
  upstream.close();
});

async function open(options: Partial<RealtimeSetup> = {}): Promise<void> {
  ({ session, host } = newSession(upstream.url, { responseTimes: SHORT_TIMES, ...options }, monotonicNowMs));
  await session.open(10_000);
}

/** The gateway decides who interrupts, and asks for every response itself. */
const BY_GATEWAY = { interruptedBy: 'gateway' as const };

let answers = 0;
/** Takes up each request from the `from`th on, and answers it whole. */
function answerFrom(from: number, before: (eventId: string) => void = () => {}): void {
  let count = 0;
  upstream.onEvent = ({ type, event_id: eventId, response }) => {
    if (type !== 'response.create') return;
    count += 1;
    if (count < from) {
      before(eventId);
      return;
    }
    const id = `answer_${++answers}`;
    upstream.begin(id, response.metadata);
    upstream.speak(id);
    upstream.finish(id);
  };
}

const isSpoken = () => host.all('assistant_text').some(({ text }) => text === 'Well');
const hasFailed = () => host.all('upstream_failed').length > 0;
const repairs = () => host.all('repaired').map(({ kind }) => kind);

describe('a request for a response', () => {
  const error = (fields: object) => upstream.send({ type: 'error', error: { message: 'No.', param: null, ...fields } });

  it.each([
    ['nothing at all', () => {}],
    ['an error that names nothing', () => error({ type: 'server_error', code: null, event_id: null })],
    [
      'a conflict that names nothing',
      () => error({ type: 'invalid_request_error', code: 'conversation_already_has_active_response', event_id: null }),
    ],
    [
      'a conflict with a response nobody has heard of',
      (id: string) => error({ type: 'x', code: 'conversation_already_has_active_response', event_id: id }),
    ],
    ['a failure', (id: string) => error({ type: 'server_error', code: null, event_id: id })],
  ] as [string, (eventId: string) => void][])(
    'that is met by %s is made again, greeting or answer',
    async (_, meet) => {
      answerFrom(2, meet);
      await open({ ...BY_GATEWAY, greeting: { instructions: 'Greet.', interruptible: true } });
      await host.until(isSpoken);
      const requests = upstream.of('response.create');
      expect(requests).toHaveLength(2);
      expect(JSON.stringify(requests[1]!['response'].input)).toContain('Greet.');
      answerFrom(2, meet);
      upstream.turn('u1');
      await host.until(() => host.all('assistant_text').length === 2);
      expect(hasFailed()).toBe(false);
    },
  );

  it('that is never taken up ends the call with a reason', async () => {
    await open({ greeting: { instructions: 'Greet.', interruptible: true } });
    await host.until(hasFailed);
    expect(host.all('upstream_failed')).toMatchObject([{ code: 'not_taken_up' }]);
    expect(upstream.of('response.create')).toHaveLength(3);
    expect(upstream.connections).toBe(1);
  });
});

describe('a response', () => {
  it('that begins, speaks, and never ends is cancelled and asked for anew, though the cancel finds nothing', async () => {
    await open();
    upstream.onEvent = ({ type, event_id: eventId, response }) => {
      if (type === 'response.cancel') {
        const error = { type: 'invalid_request_error', code: 'response_cancel_not_active', event_id: eventId };
        upstream.send({ type: 'error', error: { ...error, message: 'Nothing to cancel.' } });
      }
      if (type !== 'response.create') return;
      upstream.begin('r2', response.metadata);
      upstream.speak('r2');
      upstream.finish('r2');
    };
    upstream.turn('u1');
    upstream.begin('r1');
    upstream.speak('r1');
    await host.until(() => host.all('response_done').some(({ responseId }) => responseId === 'r2'));
    expect(repairs()).toEqual(['response_lost']);
    expect(host.all('response_done')).toMatchObject([{ responseId: 'r1', status: 'lost', reason: 'silent' }, {}]);
    // The conversation is there, and is told that the answer broke off.
    expect(JSON.stringify(upstream.of('conversation.item.create'))).toContain('You were cut off');
    // What was left of it is not heard beside the answer.
    const received = host.receivedMs.get('item_r1');
    upstream.speak('r1');
    upstream.turn('u2');
    await host.until(() => host.all('speech_stopped').length === 2);
    expect(host.receivedMs.get('item_r1')).toBe(received);
  });

  it('that never ends twice in a row ends the call', async () => {
    await open();
    upstream.onEvent = ({ type, response }) => {
      if (type === 'response.create') upstream.begin('r2', response.metadata);
    };
    upstream.turn('u1');
    upstream.begin('r1');
    await host.until(hasFailed);
    expect(host.all('upstream_failed')).toMatchObject([{ code: 'response_lost' }]);
  });

  it.each([
    ['output is null', { output: null }],
    ['status is missing', { status: null }],
    ['id is missing', { id: null }],
    ['usage is nonsense', { usage: { input_token_details: { text_tokens: -1, audio_tokens: 'x' } } }],
    ['everything is missing', { id: null, status: 7, output: 'x', usage: [], metadata: null, status_details: 1 }],
  ])('whose %s when it is done is over', async (_, fields) => {
    answerFrom(1);
    await open();
    upstream.turn('u1');
    upstream.begin('r1');
    upstream.speak('r1');
    upstream.finish('r1', fields);
    await host.until(() => host.all('response_done').length === 1);
    expect(host.all('response_done')).toMatchObject([{ responseId: 'r1', status: 'completed' }]);
    session.prompt('Say it.');
    await host.until(() => host.all('response_done').length === 2);
    expect(repairs()).toEqual([]);
  });

  it.each([[[]], [null]])('that is done with %j in it is asked for once more', async (output) => {
    answerFrom(1);
    await open();
    upstream.turn('u1');
    upstream.begin('r0');
    upstream.send({ type: 'response.done', response: { id: 'r0', status: 'completed', output } });
    await host.until(isSpoken);
    expect(repairs()).toEqual(['answer_empty']);
    expect(upstream.of('response.create')).toHaveLength(1);
  });

  it('whose beginning is not told is heard and over all the same', async () => {
    await open();
    upstream.turn('u1');
    upstream.speak('r1');
    upstream.finish('r1');
    upstream.begin('r1');
    await host.until(() => host.all('response_done').length === 1);
    expect(host.all('response_started')).toHaveLength(1);
    expect(isSpoken()).toBe(true);
  });

  it('that fails says why in the words of the upstream', async () => {
    await open();
    upstream.begin('r1');
    const status_details = { type: 'failed', error: { type: 'server_error', code: null, message: 'Out of order.' } };
    upstream.send({ type: 'response.done', response: { id: 'r1', status: 'failed', output: [], status_details } });
    await host.until(() => host.all('response_done').length === 1);
    expect(host.all('response_done')).toMatchObject([{ reason: 'server_error', message: 'Out of order.' }]);
  });
});

describe('a tool call', () => {
  const item = (fields: object) => ({ id: 'f1', type: 'function_call', status: 'completed', ...fields });

  it.each([
    ['without a name', { call_id: 'c1', arguments: '{}' }, { name: '', arguments: '{}' }],
    ['without arguments', { call_id: 'c1', name: 'look' }, { name: 'look', arguments: 'null' }],
  ])('%s is made once, for the tools to refuse', async (_, fields, expected) => {
    const calls: object[] = [];
    await open();
    host.runTool = async (call) => {
      calls.push(call);
      return { output: '{"error":"no"}', respond: true };
    };
    upstream.turn('u1');
    upstream.begin('r1');
    for (let i = 0; i < 2; i++) {
      upstream.send({ type: 'response.output_item.done', response_id: 'r1', item: item(fields) });
    }
    upstream.send({ type: 'response.done', response: { id: 'r1', status: 'completed', output: [item(fields)] } });
    await host.until(() => host.all('response_done').length === 1);
    answerFrom(1);
    await host.until(isSpoken);
    expect(calls).toMatchObject([expected]);
  });

  it('of which only the end of its response tells is made', async () => {
    answerFrom(1);
    await open();
    upstream.begin('r1');
    const output = [item({ call_id: 'c1', name: 'look', arguments: '{}' })];
    upstream.send({ type: 'response.done', response: { id: 'r1', status: 'completed', output } });
    await host.until(isSpoken);
    expect(upstream.of('conversation.item.create')).toMatchObject([{ item: { call_id: 'c1', output: '{}' } }]);
  });
});

describe('a turn', () => {
  const event = (stage: string) => ({ type: `input_audio_buffer.${stage}`, item_id: 'u1', previous_item_id: null });

  it.each(['speech_started', 'speech_stopped', 'committed'])('without %s is answered', async (missing) => {
    answerFrom(1);
    await open(BY_GATEWAY);
    for (const stage of ['speech_started', 'speech_stopped', 'committed']) {
      if (stage !== missing) upstream.send(event(stage));
    }
    await host.until(isSpoken);
    expect(repairs()).toEqual(['turn_assumed']);
    expect(host.all('speech_stopped')).toHaveLength(1);
  });

  it('whose words and stages come twice is one turn', async () => {
    answerFrom(1);
    await open(BY_GATEWAY);
    for (let i = 0; i < 2; i++) upstream.turn('u1');
    for (let i = 0; i < 2; i++) {
      const transcript = 'Hello?';
      upstream.send({ type: 'conversation.item.input_audio_transcription.completed', item_id: 'u1', transcript });
    }
    await host.until(isSpoken);
    expect(host.all('user_text')).toHaveLength(1);
    expect(host.all('speech_started')).toHaveLength(1);
    expect(upstream.of('response.create')).toHaveLength(1);
  });
});

describe('while a session is set up', () => {
  it.each([
    [{ type: 'server_error', code: null }, 'is tried again'],
    [{ type: 'server_error', code: 'server_error', event_id: 'session-config' }, 'is tried again'],
    [{ type: 'invalid_request_error', code: 'item_not_found', event_id: 'other' }, 'refuses nothing'],
    [{ type: 'invalid_request_error', code: null, param: 'item.id' }, 'refuses nothing'],
  ])('the error %j %s', async (error, what) => {
    upstream.onSessionUpdate = () => {
      if (upstream.connections === 1) upstream.send({ type: 'error', error: { message: 'No.', ...error } });
      if (upstream.connections === 2 || what === 'refuses nothing') upstream.send({ type: 'session.updated' });
    };
    await open();
    expect(upstream.connections).toBe(what === 'refuses nothing' ? 1 : 2);
  });

  it('an error that names it refuses it at once', async () => {
    upstream.onSessionUpdate = () =>
      upstream.send({
        type: 'error',
        error: { type: 'invalid_request_error', message: 'No.', param: 'session.voice' },
      });
    await expect(open()).rejects.toMatchObject({ class: 'refused' });
    expect(upstream.connections).toBe(1);
  });
});

it('a connection that fails with a server error while it is restored is tried again', async () => {
  await open();
  upstream.onSessionUpdate = () => {
    if (upstream.connections === 2) upstream.send({ type: 'error', error: { type: 'server_error', code: null } });
    else upstream.send({ type: 'session.updated' });
  };
  upstream.send({ type: 'error', error: { type: 'invalid_request_error', code: 'session_expired' } });
  await host.until(() => host.all('upstream_restored').length === 1 || hasFailed());
  expect(hasFailed()).toBe(false);
  expect(upstream.connections).toBe(3);
});

it('a message without end costs the connection, not the memory', async () => {
  await open();
  upstream.sendText(JSON.stringify({ type: 'response.output_audio.delta', delta: 'A'.repeat(9 * 1024 * 1024) }));
  await host.until(() => host.all('upstream_restored').length === 1);
  expect(host.all('event_unusable')).toEqual([]);
});
