import { expect, it } from 'vitest';
import { Incoming, type IncomingEvents, type IncomingHandlers, NO_EVENT } from '../../src/realtime/incoming.ts';

type Type = keyof IncomingEvents;

/** What handlers were given, and what was found unusable. */
function reader() {
  const seen: { type: string; [field: string]: unknown }[] = [];
  const unusable: string[] = [];
  const handlers = new Proxy({} as IncomingHandlers, {
    get: (_, type) => (event: object) => seen.push({ type: String(type), ...event }),
  });
  const incoming = new Incoming(handlers, (reason, type) => unusable.push(`${reason} ${type}`));
  return { incoming, seen, unusable };
}

const REPLY = { response_id: 'r1', item_id: 'i1' };
const CALL = { id: 'f1', type: 'function_call', status: 'completed', call_id: 'c1', name: 'look', arguments: '{}' };

/** One good event of each type. */
const GOOD: { readonly [T in Type]: Record<string, unknown> } = {
  'input_audio_buffer.speech_started': { item_id: 'u1' },
  'input_audio_buffer.speech_stopped': { item_id: 'u1' },
  'input_audio_buffer.committed': { item_id: 'u1', previous_item_id: null },
  'conversation.item.added': { item: { id: 'i1', type: 'message', role: 'assistant' }, previous_item_id: 'u1' },
  'conversation.item.input_audio_transcription.completed': { item_id: 'u1', transcript: ' Hello ' },
  'conversation.item.input_audio_transcription.failed': { item_id: 'u1', error: {} },
  'response.created': { response: { id: 'r1', metadata: { request: 'response-1' } } },
  'response.output_item.added': { response_id: 'r1', item: { id: 'i1', type: 'message' } },
  'response.output_audio.delta': { ...REPLY, delta: 'AAAA' },
  'response.output_audio.done': REPLY,
  'response.output_audio_transcript.delta': { ...REPLY, delta: 'Hel' },
  'response.output_audio_transcript.done': { ...REPLY, transcript: 'Hello' },
  'response.output_item.done': { response_id: 'r1', item: CALL },
  'response.done': {
    response: { id: 'r1', status: 'completed', output: [CALL], usage: { input_token_details: { text_tokens: 4 } } },
  },
  error: { error: { type: 'server_error', code: null, message: 'No.', event_id: 'e1' } },
};

it('good events reach their handlers, and leave nothing to tell', () => {
  const { incoming, seen, unusable } = reader();
  for (const [type, fields] of Object.entries(GOOD)) incoming.accept({ type, ...fields });
  expect(seen.map(({ type }) => type)).toEqual(Object.keys(GOOD));
  expect(unusable).toEqual([]);
});

const WRONG = [null, undefined, '', 0, -1, 1e300, true, [], {}, [' '], '\ud83d', 'x'.repeat(200_000), Number.NaN];

/** Every way to put one wrong value in place of one field, at any depth. */
function* mutations(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, field] of Object.entries(value)) {
    const copy = (changed: unknown) =>
      Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed };
    for (const wrong of WRONG) yield copy(wrong);
    for (const inner of mutations(field)) yield copy(inner);
  }
}

/** Whether a value is what a field of that name has to be. */
function assertSound(value: unknown, name: string): void {
  if (value === undefined || value === null) return;
  if (/Id$|^id$/.test(name)) expect(value, name).toMatch(/^.{1,512}$/s);
  else if (typeof value === 'string') {
    if (name !== 'base64' && !(name === 'text' && value.length === 1)) expect(value.isWellFormed(), name).toBe(true);
  } else if (typeof value === 'number') {
    expect(value, name).toBeGreaterThanOrEqual(0);
    expect(value, name).toBeLessThanOrEqual(1e9);
  } else if (typeof value === 'object' && name !== 'metadata') {
    for (const [key, field] of Object.entries(value)) assertSound(field, key);
  }
}

it('no single wrong field of any event reaches a handler', () => {
  let count = 0;
  for (const [type, fields] of Object.entries(GOOD)) {
    for (const mutation of mutations(fields)) {
      const { incoming, seen, unusable } = reader();
      incoming.accept({ ...(mutation as object), type });
      count += 1;
      expect(unusable.filter((reason) => reason.startsWith('internal'))).toEqual([]);
      for (const event of seen) assertSound(event, 'event');
      // What a response is over with is told, whatever else is wrong with it.
      if (type === 'response.done') expect(seen).toHaveLength(1);
    }
  }
  expect(count).toBeGreaterThan(400);
});

it.each([
  ['input_audio_buffer.speech_started', {}, 'id', undefined],
  ['response.output_audio.delta', { response_id: 'r1', delta: 'AAAA' }, 'id', undefined],
  ['response.output_audio.delta', { ...REPLY, delta: 7 }, 'audio', undefined],
  ['response.output_audio.delta', { item_id: 'i1', delta: 'AAAA' }, 'id', { responseId: undefined, base64: 'AAAA' }],
  ['response.output_audio_transcript.done', { ...REPLY, transcript: null }, 'text', { text: undefined }],
  ['response.output_audio_transcript.done', { ...REPLY, transcript: [' '] }, 'text', { text: undefined }],
  ['response.output_audio_transcript.done', { ...REPLY, transcript: 'Oh \ud83d' }, 'text', { text: 'Oh \ufffd' }],
  [
    'conversation.item.input_audio_transcription.completed',
    { item_id: 'u1', transcript: null },
    'text',
    { transcript: null },
  ],
  [
    'conversation.item.input_audio_transcription.completed',
    { item_id: 'u1', transcript: 'yes', usage: { type: 'duration', seconds: -1 } },
    'tokens',
    { transcript: 'yes', usage: { seconds: 0 } },
  ],
  ['response.done', {}, 'response', { response: { id: undefined, output: [] } }],
  ['response.done', { response: { id: 'r1', output: null } }, undefined, { response: { id: 'r1', output: [] } }],
  [
    'response.done',
    { response: { id: 'r1', usage: { input_token_details: { text_tokens: -1 } } } },
    'tokens',
    { response: { tokens: { input_text: 0 } } },
  ],
  [
    'response.output_item.done',
    { response_id: 'r1', item: { ...CALL, name: undefined } },
    'item',
    { item: { call: { name: '' } } },
  ],
  [
    'response.output_item.done',
    { response_id: 'r1', item: { ...CALL, arguments: undefined } },
    'item',
    { item: { call: { arguments: 'null' } } },
  ],
  [
    'response.output_item.done',
    { response_id: 'r1', item: { ...CALL, call_id: 7 } },
    'id',
    { item: { call: undefined } },
  ],
] as const)('%s %j is told as %s', (type, fields, reason, expected) => {
  const { incoming, seen, unusable } = reader();
  incoming.accept({ type, ...fields });
  expect(unusable).toEqual(reason === undefined ? [] : [`${reason} ${type}`]);
  if (expected === undefined) expect(seen).toEqual([]);
  else expect(seen).toMatchObject([{ type, ...expected }]);
});

it('the same event twice in a row is one, unless all have the same id', () => {
  const { incoming, seen, unusable } = reader();
  const delta = (id: string) => ({ type: 'response.output_audio.delta', event_id: id, ...REPLY, delta: 'AAAA' });
  for (const id of ['e1', 'e2', 'e2', 'e3', 'e3', 'e2']) incoming.accept(delta(id));
  expect(seen).toHaveLength(4);
  expect(unusable).toEqual(Array(2).fill('repeat response.output_audio.delta'));
  const same = reader();
  for (const type of ['response.created', ...Array(5).fill('response.output_audio.delta')]) {
    same.incoming.accept({ ...GOOD[type as Type], type, event_id: 'event' });
  }
  expect(same.seen).toHaveLength(6);
});

it('what is no event is counted, what is not known is not, and a defect is told with its stack', () => {
  const { incoming, seen, unusable } = reader();
  for (const type of ['toString', '__proto__', 'constructor', 'session.updated', 'unknown']) incoming.accept({ type });
  expect(unusable).toEqual([]);
  incoming.accept(NO_EVENT);
  expect(unusable).toEqual(['not_json unknown']);
  expect(seen).toEqual([]);
  const told: unknown[] = [];
  const broken = new Proxy({} as IncomingHandlers, {
    get: () => () => {
      throw new Error('defect');
    },
  });
  new Incoming(broken, (...args) => told.push(args)).accept({ type: 'error', error: {} });
  expect(told).toMatchObject([['internal', 'error', { message: 'defect' }]]);
});
