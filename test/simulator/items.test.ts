import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, joined, silence, speech, TestClient } from './client.ts';

const user = (text: string, more: object = {}) => ({
  type: 'conversation.item.create',
  item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }], ...more },
});

let simulator: RealtimeSimulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await RealtimeSimulator.listen(INSTANT);
});
afterAll(() => simulator.close());
beforeEach(async () => {
  client = await TestClient.connect(simulator.url);
});

/** Lets the assistant greet; returns its item. */
async function greeted(): Promise<{ id: string; audioMs: number }> {
  client.send({ type: 'response.create' });
  const { response } = await client.next('response.done');
  const id = response.output?.[0]?.id ?? '';
  return { id, audioMs: client.audioOf(id).length / 48 };
}

function itemIds(): unknown[] {
  return simulator.connections.at(-1)!.items.map((item) => (item as { id: string }).id);
}

describe('conversation.item.create', () => {
  it.each([
    ['user', { type: 'input_text', text: 'Hello.' }],
    ['system', { type: 'input_text', text: 'The caller is on hold.' }],
    ['assistant', { type: 'output_text', text: 'Good morning.' }],
  ])('takes a %s message and acknowledges it twice, without a response', async (role, content) => {
    client.send({ type: 'conversation.item.create', item: { type: 'message', role, content: [content] } });
    const added = await client.next('conversation.item.added');
    const done = await client.next('conversation.item.done');
    expect(added.item).toEqual({
      id: expect.stringMatching(/^item_/),
      type: 'message',
      status: 'completed',
      role,
      content: [content],
    });
    expect(done.item).toEqual(added.item);
    await client.update({});
    expect(client.types).not.toContain('response.created');
  });

  it('takes a call and its result, for a conversation that is replayed', async () => {
    const call = { type: 'function_call', call_id: 'call_1', name: 'lookup', arguments: '{"id":1}' };
    client.send({ type: 'conversation.item.create', item: call });
    const output = { type: 'function_call_output', call_id: 'call_1', output: '{"ok":true}' };
    client.send({ type: 'conversation.item.create', item: output });
    const first = await client.next('conversation.item.added');
    const second = await client.next('conversation.item.added');
    expect(first.item).toMatchObject(call);
    expect(second).toMatchObject({ previous_item_id: first.item.id, item: output });
  });

  it('puts items first, last or after another', async () => {
    client.send(user('one', { id: 'one' }));
    client.send(user('three', { id: 'three' }));
    client.send({ ...user('zero', { id: 'zero' }), previous_item_id: 'root' });
    client.send({ ...user('two', { id: 'two' }), previous_item_id: 'one' });
    await client.next('conversation.item.done', ({ item }) => item.id === 'two');
    expect(itemIds()).toEqual(['zero', 'one', 'two', 'three']);
    const previous = client.all('conversation.item.added').map(({ previous_item_id: id }) => id);
    expect(previous).toEqual([null, 'one', null, 'one']);
  });

  it('hears audio that comes as an item', async () => {
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    const audio = Buffer.from(joined(silence(100), speech(1000))).toString('base64');
    const item = { type: 'message', role: 'user', content: [{ type: 'input_audio', audio }] };
    client.send({ type: 'conversation.item.create', item });
    const added = await client.next('conversation.item.added');
    expect(added.item).toMatchObject({ content: [{ type: 'input_audio', transcript: null }] });
    expect(JSON.stringify(added)).not.toContain('"audio"');
    const { transcript } = await client.next('conversation.item.input_audio_transcription.completed');
    expect(transcript).toBe('(unrecognised speech, 1.1 s)');
  });

  it.each([
    [
      'a UUID for an id',
      user('x', { id: '8c0a9c5e-6a4e-4a77-8a39-0d3d1a1b7c11' }),
      'string_above_max_length',
      'item.id',
    ],
    ['an id with a slash', user('x', { id: 'a/b' }), 'invalid_value', 'item.id'],
    ['an unknown predecessor', { ...user('x'), previous_item_id: 'nobody' }, 'item_not_found', 'previous_item_id'],
    ['no item', { type: 'conversation.item.create' }, 'missing_required_parameter', 'item'],
    [
      'an item without a type',
      { type: 'conversation.item.create', item: {} },
      'missing_required_parameter',
      'item.type',
    ],
    ['an unknown type', { type: 'conversation.item.create', item: { type: 'note' } }, 'invalid_value', 'item.type'],
    [
      'assistant audio',
      {
        type: 'conversation.item.create',
        item: { type: 'message', role: 'assistant', content: [{ type: 'output_audio', transcript: 'Hi' }] },
      },
      'missing_required_parameter',
      'item.content[0].text',
    ],
    [
      "the beta's text parts",
      {
        type: 'conversation.item.create',
        item: { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'Hi' }] },
      },
      'invalid_value',
      'item.content[0].type',
    ],
    [
      'a result of an unknown call',
      { type: 'conversation.item.create', item: { type: 'function_call_output', call_id: 'call_x', output: 'x' } },
      'invalid_tool_call_id',
      null,
    ],
    [
      'a result that is not a string',
      { type: 'conversation.item.create', item: { type: 'function_call_output', call_id: 'call_x', output: {} } },
      'invalid_type',
      'item.output',
    ],
    [
      'audio that is not base64',
      {
        type: 'conversation.item.create',
        item: { type: 'message', role: 'user', content: [{ type: 'input_audio', audio: '%%' }] },
      },
      'invalid_value',
      'item.content.audio',
    ],
  ])('refuses %s', async (_what, event, code, param) => {
    expect(await client.refused(event)).toMatchObject({ code, param, event_id: 'ev-1' });
    expect(itemIds()).toEqual([]);
  });

  it('refuses an id that is taken', async () => {
    client.send(user('one', { id: 'one' }));
    expect(await client.refused(user('two', { id: 'one' }))).toMatchObject({ code: 'item_create_duplicate_item_id' });
  });
});

describe('conversation.item.truncate', () => {
  const truncate = (itemId: string, audioEndMs: number, more: object = {}) => ({
    type: 'conversation.item.truncate',
    item_id: itemId,
    content_index: 0,
    audio_end_ms: audioEndMs,
    ...more,
  });

  it('cuts what the assistant said, and forgets its words', async () => {
    const { id } = await greeted();
    client.send(truncate(id, 1480));
    expect(await client.next('conversation.item.truncated')).toMatchObject({
      item_id: id,
      content_index: 0,
      audio_end_ms: 1480,
    });
    client.send({ type: 'conversation.item.retrieve', item_id: id });
    const { item } = await client.next('conversation.item.retrieved');
    expect(item).toMatchObject({ content: [{ type: 'output_audio', transcript: null }] });
    const [part] = (item as { content: { audio: string }[] }).content;
    expect(Buffer.from(part!.audio, 'base64').length).toBe(1480 * 48);
    expect(
      client
        .audioOf(id)
        .subarray(0, 1480 * 48)
        .equals(Buffer.from(part!.audio, 'base64')),
    ).toBe(true);
  });

  it('bills what is left', async () => {
    const { id } = await greeted();
    client.send(truncate(id, 1000));
    client.send({ type: 'response.create' });
    const { usage } = (await client.next('response.done')).response;
    expect(usage?.input_token_details?.audio_tokens).toBe(20);
  });

  it('takes everything up to the real length and nothing beyond', async () => {
    const { id, audioMs } = await greeted();
    const length = Math.floor(audioMs);
    expect(await client.refused(truncate(id, length + 1))).toMatchObject({
      code: 'invalid_value',
      message: `Audio content of ${length}ms is already shorter than ${length + 1}ms`,
      param: 'audio_end_ms',
      event_id: 'ev-1',
    });
    client.send(truncate(id, length));
    await client.next('conversation.item.truncated');
    client.send(truncate(id, 500));
    await client.next('conversation.item.truncated');
    expect(await client.refused(truncate(id, 501))).toMatchObject({
      message: 'Audio content of 500ms is already shorter than 501ms',
    });
  });

  it('refuses anything but the audio of the assistant', async () => {
    client.send(user('Hello', { id: 'typed' }));
    client.send({
      type: 'conversation.item.create',
      item: { id: 'written', type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi' }] },
    });
    for (const id of ['typed', 'written']) {
      const error = await client.refused(truncate(id, 0));
      expect(error).toMatchObject({
        code: 'invalid_value',
        message: 'Only model output audio messages can be truncated',
      });
    }
    expect(await client.refused(truncate('nobody', 0))).toMatchObject({ code: 'item_not_found' });
    const { id } = await greeted();
    expect(await client.refused(truncate(id, 0, { content_index: 1 }))).toMatchObject({ param: 'content_index' });
    expect(await client.refused(truncate(id, -1))).toMatchObject({ code: 'integer_below_min_value' });
    expect(await client.refused(truncate(id, 10.5))).toMatchObject({ code: 'invalid_type' });
  });
});

describe('conversation.item.delete and .retrieve', () => {
  it('deletes', async () => {
    client.send(user('one', { id: 'one' }));
    client.send({ type: 'conversation.item.delete', item_id: 'one' });
    expect(await client.next('conversation.item.deleted')).toMatchObject({ item_id: 'one' });
    expect(itemIds()).toEqual([]);
    const error = await client.refused({ type: 'conversation.item.delete', item_id: 'one' });
    expect(error).toMatchObject({ code: 'item_not_found', param: 'item_id', event_id: 'ev-1' });
  });

  it('retrieves the current turn with its audio, and the words once they are known', async () => {
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    const turn = joined(silence(500), speech(700), silence(1000));
    client.stream(turn);
    const { transcript } = await client.next('conversation.item.input_audio_transcription.completed');
    const { item_id: itemId } = client.all('input_audio_buffer.committed')[0]!;
    client.send({ type: 'conversation.item.retrieve', item_id: itemId });
    const { item } = await client.next('conversation.item.retrieved');
    const [part] = (item as { content: { audio: string; transcript: string }[] }).content;
    expect(part!.transcript).toBe(transcript);
    expect(Buffer.from(part!.audio, 'base64').equals(Buffer.from(turn.subarray(200 * 48, 1700 * 48)))).toBe(true);
  });

  it('says so when there is nothing to retrieve', async () => {
    const error = await client.refused({ type: 'conversation.item.retrieve', item_id: 'one' });
    expect(error).toMatchObject({ code: 'item_not_found', event_id: 'ev-1' });
  });
});

describe('the prompt cache', () => {
  it('is worthless once something early is deleted', async () => {
    client.send(user('Hello there', { id: 'first' }));
    await greeted();
    client.send({ type: 'conversation.item.delete', item_id: 'first' });
    client.send({ type: 'response.create' });
    const { usage } = (await client.next('response.done')).response;
    const { instructions } = simulator.connections.at(-1)!.session;
    expect(usage?.input_token_details?.cached_tokens).toBe(instructions.split(/\s+/).length);
  });
});
