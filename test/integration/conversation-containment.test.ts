import { afterAll, beforeAll, expect, it } from 'vitest';
import { Playhead } from '../../src/call/reply/playhead.ts';
import { Replies } from '../../src/call/reply/replies.ts';
import { Reply } from '../../src/call/reply/reply.ts';
import { SessionClock } from '../../src/call/session-clock.ts';
import { Conversation } from '../../src/upstream/conversation.ts';
import { http, TestCall } from '../support/call.ts';
import { aiLine, eventually, say, userLine } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

let gateway: TestGateway;
let innocent: TestCall;
let calls = 0;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    simulator: { speedup: 40 },
    profiles: {
      quiet: QUIET_PROFILE,
      fallback: { ...QUIET_PROFILE, transferExtensions: ['200'], fallbackExtension: '200' },
    },
  });
  innocent = new TestCall(gateway.url, 'innocent');
  expect(await innocent.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
});
afterAll(() => gateway.stop());

async function begin(aiAgentRef = 'quiet') {
  const call = new TestCall(gateway.url, `contained-${++calls}`);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

async function speaksWith(call: TestCall): Promise<void> {
  await say(call, 'arrival');
  const before = call.lines.length;
  await call.pollUntil(({ lines }) => lines.length >= before + 2);
  expect(call.lines.slice(before).sort()).toEqual([aiLine('order-eta'), userLine('arrival')].sort());
}

async function isOver(call: TestCall): Promise<boolean> {
  return (await call.info()).body.status !== 'active';
}

const audio = Buffer.alloc(4_800).toString('base64');
const response = { id: 'resp_x', status: 'completed', status_details: null, conversation_id: 'conv_1', metadata: null };
const done = (more: object) => ({ type: 'response.done', response: { ...response, output: [], ...more } });
const reply = { response_id: 'resp_x', item_id: 'item_x', output_index: 0, content_index: 0 };

it.each([
  ['audio without an item', [{ type: 'response.output_audio.delta', ...reply, item_id: undefined, delta: audio }]],
  ['audio that is none', [{ type: 'response.output_audio.delta', ...reply, delta: { audio } }]],
  [
    'a transcript that is none, of a reply that is half usable',
    [
      { type: 'response.output_audio.delta', ...reply, delta: audio },
      { type: 'response.output_audio_transcript.done', ...reply, transcript: null },
      { type: 'response.output_audio_transcript.done', ...reply, transcript: [' '] },
    ],
  ],
  [
    'token counts that are none',
    [done({ usage: { input_token_details: { text_tokens: -1, audio_tokens: 'x', cached_tokens: [] } } })],
  ],
  [
    'a function without a name',
    [
      {
        type: 'response.output_item.done',
        response_id: 'resp_x',
        item: { id: 'f1', type: 'function_call', status: 'completed', call_id: 'c1', arguments: '{}' },
      },
      done({}),
    ],
  ],
] as [string, { type: string }[]][])('%s costs no call, and all of it is answered', async (_, events) => {
  const { call, connection } = await begin();
  connection.send({ type: 'response.created', response: { ...response, status: 'in_progress', output: [] } });
  for (const event of events) connection.send(event);
  if (!events.some(({ type }) => type === 'response.done')) connection.send(done({}));
  await say(call, 'arrival');
  await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
  await speaksWith(innocent);
  const events200 = await http('GET', `${gateway.url}/api/voice/session/${call.callId}/events`);
  expect(events200.status).toBe(200);
  const ended = await call.end();
  expect(ended).toMatchObject({ status: 200, body: { status: 'ended', summary: { endReason: 'completed' } } });
});

/** Has a method throw once, at its next call. */
function breakOnce<K extends string>(prototype: Record<K, (...args: never[]) => unknown>, method: K): () => void {
  const whole = prototype[method];
  const mend = () => {
    prototype[method] = whole;
  };
  prototype[method] = () => {
    mend();
    throw new TypeError('a defect');
  };
  return mend;
}

it.each([
  ['audio arrives at the client', () => breakOnce(Playhead.prototype, 'delivered')],
  ['the audio pool is done with a piece', () => breakOnce(Reply.prototype, 'received')],
  ['an event of the session arrives, whose stream fails with it', () => breakOnce(Conversation.prototype, 'add')],
  ['the clock is looked at', () => breakOnce(SessionClock.prototype, 'due')],
  ['what is heard is written down', () => breakOnce(Replies.prototype, 'setWords')],
])('what throws when %s ends that call with its fallback and its summary', async (_, breakIt) => {
  // The one that survives is the innocent one here.
  await innocent.end();
  const { call } = await begin('fallback');
  const other = await begin('fallback');
  const mend = breakIt();
  try {
    await say(call, 'arrival');
    await eventually(async () => {
      await call.poll('timeout=100');
      return (await isOver(call)) || (await isOver(other.call));
    });
  } finally {
    mend();
  }
  // The clock may look at either first.
  const all = [call, other.call];
  const over = (await Promise.all(all.map(isOver))).flatMap((isOne, index) => (isOne ? [all[index]!] : []));
  expect(over).toHaveLength(1);
  const [ended] = over as [TestCall];
  await ended.pollUntil(({ hasMore }) => !hasMore);
  expect(ended.actions).toMatchObject([{ type: 'transfer', extension: '200' }]);
  expect((await http('GET', `${gateway.url}/api/voice/session/${ended.callId}/events`)).status).toBe(200);
  expect(await ended.end()).toMatchObject({ status: 200, body: { summary: { endReason: 'upstream_failed' } } });
  const survivor = ended === call ? other.call : call;
  await speaksWith(survivor);
  await survivor.end();
});
