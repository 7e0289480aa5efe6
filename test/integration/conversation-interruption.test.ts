import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Faults, SimulatorConnection } from '../../src/simulator/server.ts';
import { TestCall } from '../support/call.ts';
import {
  aiLine,
  BYTES_PER_MS,
  deliveredMs,
  eventually,
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

const LONG = manifest.agentLines['long-explanation']!;
/** What the client says it has played when the caller interrupts. */
const PLAYED_MS = 2_000;

let gateway: TestGateway;
let calls = 0;
let errorsBefore: Record<string, number>;

beforeAll(async () => {
  gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: { quiet: QUIET_PROFILE } });
});
beforeEach(() => {
  errorsBefore = gateway.simulator.stats.errors;
});
afterAll(() => gateway.stop());

interface Begun {
  readonly call: TestCall;
  readonly connection: SimulatorConnection;
}

/** A call whose upstream connection has these faults. */
async function begin(faults: Faults = {}): Promise<Begun> {
  const call = new TestCall(gateway.url, `interrupted-${++calls}`);
  gateway.simulator.nextConnection(faults);
  const connected = gateway.simulator.waitForConnection();
  expect(await call.create({ aiAgentRef: 'quiet' })).toMatchObject({ status: 200 });
  return { call, connection: await connected };
}

/** A call whose caller has heard two seconds of the long line and more of it than that is delivered. */
async function hearing(faults: Faults = {}): Promise<Begun> {
  const begun = await begin(faults);
  await say(begun.call, 'returns');
  await begun.call.pollUntil((call) => deliveredMs(call) > PLAYED_MS + 500);
  await played(begun.call, PLAYED_MS);
  return begun;
}

/** The transcript of a call in which the long line was interrupted, with the line as far as it was heard. */
function expectCutTranscript(transcript: string[], ...rest: string[]): string {
  const [first, cut = '', ...others] = transcript;
  expect(first).toBe(userLine('returns'));
  const words = cut.slice('[AI]: '.length);
  expect(LONG.text.startsWith(words)).toBe(true);
  // Two seconds of eight were played for certain, give or take a word or two, and not all of it.
  expect(words.length).toBeGreaterThan((LONG.text.length * PLAYED_MS) / LONG.durationMs - 24);
  expect(words.length).toBeLessThan(LONG.text.length);
  expect(others).toEqual(rest);
  return cut;
}

function expectNoErrors(): void {
  expect(gateway.simulator.stats.errors).toEqual(errorsBefore);
}

describe('an interruption', () => {
  it.each<[string, Faults]>([
    ['while the reply is generated', {}],
    ['after the reply was generated whole', { bargeIn: 'after_generation' }],
    ['with deltas that come late', { bargeIn: 'straggling_deltas' }],
  ])('%s: what was heard stands, nothing old follows, and the new turn is answered', async (_, faults) => {
    const { call, connection } = await hearing(faults);
    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
    expect(call.generation).toBe(1);
    // The new reply to its last frame, and nothing else.
    expect(call.heardBytes.get(1)).toBe(lineBytes('transfer'));

    const truncates = received(connection, 'conversation.item.truncate');
    expect(truncates).toHaveLength(1);
    expect(truncates[0]).toMatchObject({ content_index: 0, audio_end_ms: expect.any(Number) });
    expect(truncates[0]!['audio_end_ms']).toBeGreaterThanOrEqual(PLAYED_MS);
    expect(truncates[0]!['audio_end_ms']).toBeLessThan(LONG.durationMs);
    expect(received(connection, 'response.cancel')).toEqual([]);
    expectNoErrors();
    const { summary } = (await call.end()).body;
    expectCutTranscript(summary.transcript, userLine('person'), aiLine('transfer'));
  });

  it('before the reply had any output: nothing is cut, and the second turn is answered once', async () => {
    const { call, connection } = await begin({ bargeIn: 'before_output' });
    const created = nextEvent(connection, 'serverEvent', 'response.created');
    await say(call, 'returns');
    await created;
    // Past the thinking time, where the response is held back; nothing tells of that.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.length >= 3);
    await played(call);
    expect(call.generation).toBe(0);
    expect(call.heardBytes.get(0)).toBe(lineBytes('transfer'));
    expect(received(connection, 'conversation.item.truncate')).toEqual([]);
    expect(received(connection, 'response.cancel')).toEqual([]);
    expectNoErrors();
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([userLine('returns'), userLine('person'), aiLine('transfer')]);
  });

  it('that the upstream does not act upon is carried out by the gateway', async () => {
    const { call, connection } = await hearing({ bargeIn: 'ignored' });
    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
    expect(call.generation).toBe(1);
    expect(call.heardBytes.get(1)).toBe(lineBytes('transfer'));
    expect(received(connection, 'conversation.item.truncate')).toHaveLength(1);
    expect(received(connection, 'response.cancel').length).toBeLessThanOrEqual(1);
    expectNoErrors();
    const { summary } = (await call.end()).body;
    expectCutTranscript(summary.transcript, userLine('person'), aiLine('transfer'));
  });

  it('cuts the line in the polls too, where its end had not been delivered', async () => {
    const { call } = await begin();
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) >= PLAYED_MS, 'timeout=1000&maxMs=300');
    await played(call, PLAYED_MS);
    await say(call, 'person');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
    const { summary } = (await call.end()).body;
    expectCutTranscript(summary.transcript, userLine('person'), aiLine('transfer'));
    expect(call.lines).toEqual(summary.transcript);
  });

  it('completes a poll that waits', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    await call.pollUntil((poller) => deliveredMs(poller) * BYTES_PER_MS >= lineBytes('long-explanation'));
    await played(call, PLAYED_MS);
    // Its own timeout is longer than the test's, and the turn does not end: only the interruption can complete it.
    const events: string[] = [];
    connection.on('serverEvent', ({ type }) => events.push(String(type)));
    const waiting = call.poll('timeout=60000');
    await send(call, speech('person'));
    const { body } = await waiting;
    expect(body).toMatchObject({ interrupted: true, generation: 1, hasMore: true });
    expect(body).not.toHaveProperty('audio');
    expect(events).toContain('input_audio_buffer.speech_started');
    expect(events).not.toContain('input_audio_buffer.speech_stopped');
  });

  it('while nobody polls is told by the first poll, and nothing of the reply was heard', async () => {
    const { call, connection } = await begin({ bargeIn: 'after_generation' });
    const generated = nextEvent(connection, 'serverEvent', 'response.done');
    await say(call, 'returns');
    await generated;
    await eventually(async () => (await call.info()).body.queuedAudioMs > LONG.durationMs);
    await say(call, 'person');
    await eventually(() => received(connection, 'conversation.item.truncate').length > 0);
    expect(received(connection, 'conversation.item.truncate')).toMatchObject([{ audio_end_ms: 0 }]);
    expect((await call.poll('timeout=60000')).body).toMatchObject({ interrupted: true, generation: 1 });
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
    expect([...call.heardBytes]).toEqual([[1, lineBytes('transfer')]]);
    expect(call.lines).toEqual([userLine('returns'), userLine('person'), aiLine('transfer')]);
    expectNoErrors();
  });

  it('that is reported twice before it is carried out is one', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    for (const item_id of ['item_one', 'item_two']) {
      connection.send({ type: 'input_audio_buffer.speech_started', item_id, audio_start_ms: 0 });
      connection.send({ type: 'input_audio_buffer.speech_stopped', item_id, audio_end_ms: 0 });
    }
    await eventually(() => received(connection, 'conversation.item.truncate').length > 0);
    // Nothing plays any more, so what the caller says next interrupts nothing.
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.includes(aiLine('order-eta')));
    expect(call.generation).toBe(1);
    expect(received(connection, 'conversation.item.truncate')).toHaveLength(1);
    expectNoErrors();
  });

  it('of nothing, however often, changes nothing', async () => {
    const { call, connection } = await begin();
    for (let index = 0; index < 5; index++) {
      const item_id = `item_${index}`;
      connection.send({ type: 'input_audio_buffer.speech_started', item_id, audio_start_ms: 0 });
      connection.send({ type: 'input_audio_buffer.speech_stopped', item_id, audio_end_ms: 0 });
    }
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    expect(call.generation).toBe(0);
    expect(call.heardBytes.get(0)).toBe(lineBytes('order-eta'));
    expect(received(connection, 'conversation.item.truncate')).toEqual([]);
    expect(received(connection, 'response.create')).toEqual([]);
  });

  it('between polls is told by the next one, at once, and only once', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    const truncated = nextEvent(connection, 'clientEvent', 'conversation.item.truncate');
    await send(call, speech('person'));
    await truncated;
    expect((await call.poll('timeout=60000')).body).toMatchObject({ interrupted: true, generation: 1 });
    expect((await call.poll('timeout=0')).body).not.toHaveProperty('interrupted');
  });

  it('is told by the answers to chunks as well, where a client looks at those', async () => {
    const { call, connection } = await hearing({ bargeIn: 'after_generation' });
    const truncated = nextEvent(connection, 'clientEvent', 'conversation.item.truncate');
    await send(call, speech('person'));
    await truncated;
    // Some chunk after the interruption was told so; where none was under way any more, the next one is.
    const answers = [(await call.send(silence(100))).body, (await call.send(silence(100))).body];
    for (const answer of answers) expect(answer).toMatchObject({ generation: 1 });
    expect(answers[1]).not.toHaveProperty('interrupted');
    // A poll is told for itself.
    expect((await call.poll('timeout=0')).body).toMatchObject({ interrupted: true });
  });

  it('leaves a reply alone that was heard to its end', async () => {
    const { call, connection } = await begin();
    await say(call, 'arrival');
    await call.pollUntil(({ lines }) => lines.length >= 2);
    await played(call);
    await say(call, 'order');
    await call.pollUntil(({ lines }) => lines.length >= 4);
    expect(call.generation).toBe(0);
    expect(received(connection, 'conversation.item.truncate')).toEqual([]);
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([
      userLine('arrival'),
      aiLine('order-eta'),
      userLine('order'),
      aiLine('order-status'),
    ]);
  });

  it('counts as heard what a client acknowledged, not what was sent to it', async () => {
    const { call, connection } = await begin({ bargeIn: 'after_generation' });
    await say(call, 'returns');
    // The client never says that it got anything.
    await call.pollUntil((poller) => poller.heard.length > 0, 'timeout=1000&ack=-1');
    await say(call, 'person');
    await eventually(() => received(connection, 'conversation.item.truncate').length > 0);
    expect(received(connection, 'conversation.item.truncate')).toMatchObject([{ audio_end_ms: 0 }]);
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')), 'timeout=1000&ack=100000');
    const { summary } = (await call.end()).body;
    expect(summary.transcript).toEqual([userLine('returns'), userLine('person'), aiLine('transfer')]);
  });

  it('of two items in one response cuts the one being heard, and all of the other', async () => {
    const { call, connection } = await begin({ overlappingItems: true, bargeIn: 'after_generation' });
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) > LONG.durationMs + 500);
    await played(call, PLAYED_MS);
    await say(call, 'person');
    await eventually(() => received(connection, 'conversation.item.truncate').length >= 2);
    const [first, second] = received(connection, 'conversation.item.truncate');
    expect(first!['audio_end_ms']).toBeGreaterThanOrEqual(PLAYED_MS);
    expect(first!['audio_end_ms']).toBeLessThan(LONG.durationMs);
    expect(second).toMatchObject({ audio_end_ms: 0 });
    expect(first!['item_id']).not.toBe(second!['item_id']);
    expectNoErrors();
  });

  it('is cut again at the length the upstream quotes, once, when it has less than it sent', async () => {
    const { call, connection } = await begin({ truncationShortfallMs: 600, bargeIn: 'after_generation' });
    await say(call, 'returns');
    await call.pollUntil((poller) => deliveredMs(poller) * BYTES_PER_MS >= lineBytes('long-explanation'));
    await played(call, LONG.durationMs - 500);
    const truncated = nextEvent(connection, 'serverEvent', 'conversation.item.truncated');
    await send(call, speech('person'));
    const shorter = Math.floor(LONG.durationMs) - 600;
    expect((await truncated)['audio_end_ms']).toBeLessThanOrEqual(shorter + 1);
    const truncates = received(connection, 'conversation.item.truncate');
    expect(truncates).toHaveLength(2);
    expect(truncates[0]!['audio_end_ms']).toBeGreaterThan(shorter + 1);
    expect(truncates[0]!['item_id']).toBe(truncates[1]!['item_id']);
    // The call goes on.
    await send(call, silence(800));
    await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
  });
});

describe('interruptions at random', () => {
  const CALLS: Faults[] = [
    {},
    { bargeIn: 'after_generation' },
    { bargeIn: 'straggling_deltas' },
    { bargeIn: 'ignored' },
    { overlappingItems: true },
  ];
  const TURNS = 10;

  it('leave every call in order: nothing is truncated twice or too late, and the last reply comes whole', async () => {
    await Promise.all(
      CALLS.map(async (faults, index) => {
        const { call, connection } = await begin(faults);
        let state = index + 1;
        const random = (limit: number) => {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          return Math.floor((state / 2 ** 32) * limit);
        };
        for (let turn = 0; turn < TURNS; turn++) {
          await say(call, 'returns');
          // Some of it is fetched, or nothing, and some of that was played.
          for (let polls = random(4); polls > 0; polls--) await call.poll(`timeout=100&maxMs=${300 + random(2000)}`);
          if (random(2) === 0) await played(call, random(4_000));
        }
        await say(call, 'person');
        await call.pollUntil(({ lines }) => lines.includes(aiLine('transfer')));
        const itemIds = received(connection, 'conversation.item.truncate').map(({ item_id }) => item_id);
        expect(new Set(itemIds).size).toBe(itemIds.length);
        expect(itemIds.length).toBeGreaterThan(0);
        if (!faults.overlappingItems) expect(call.heardBytes.get(call.generation)).toBe(lineBytes('transfer'));
        const { summary } = (await call.end()).body;
        const said = summary.transcript.filter((line: string) => line.startsWith('[User]'));
        expect(said).toEqual([...Array.from({ length: TURNS }, () => userLine('returns')), userLine('person')]);
      }),
    );
    // A truncate beyond what the upstream has is an error there, as is a response too many.
    expectNoErrors();
  });
});
