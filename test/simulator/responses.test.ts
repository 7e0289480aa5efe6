import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, manifest, recordedCall, TestClient } from './client.ts';

const TRANSFER = { type: 'function', name: 'transfer_to_extension', description: 'x', parameters: { type: 'object' } };

const line = (id: string) => manifest.agentLines[id]!.text;
const user = (text: string) => ({
  type: 'conversation.item.create',
  item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] },
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

/** Transcripts or texts of the messages of the next response. */
async function answer(response?: object): Promise<string[]> {
  client.send({ type: 'response.create', ...(response && { response }) });
  const { response: done } = await client.next('response.done');
  return (done.output ?? []).flatMap((item) =>
    item.type === 'message'
      ? item.content.map((part) => part.text ?? ('transcript' in part ? part.transcript : '') ?? '')
      : [],
  );
}

describe('what the assistant says', () => {
  it('greets when nobody has spoken', async () => {
    expect(await answer()).toEqual([line('greeting')]);
    expect(await answer({ instructions: 'Greet the caller.' })).toEqual([line('greeting')]);
  });

  it.each([
    [`"${line('goodbye')}"`, 'goodbye'],
    [`Greet the caller with “${line('still-there')}” and wait.`, 'still-there'],
    [`Be kind. Say exactly: ${line('still-there').toLowerCase().replace(/\W+/g, ' ')}`, 'still-there'],
  ])('says what %s asks for', async (instructions, lineId) => {
    expect(await answer({ instructions })).toEqual([line(lineId)]);
  });

  it.each([
    ['Where is my PARCEL?', ['order-status']],
    ['And when will it arrive?', ['order-eta']],
    ['What are your opening hours?', ['opening-hours']],
    ['I reopened it', ['sorry-again']],
    ['I need the invoice', ['one-moment', 'invoice']],
    ['Thanks', ['anything-else']],
  ])('answers %s by the script', async (text, lines) => {
    client.send(user(text));
    expect(await answer()).toEqual(lines.map(line));
  });

  it('speaks several lines as several items only with models that do', async () => {
    client = await TestClient.connect(simulator.url, { model: 'gpt-realtime' });
    client.send(user('I need the invoice'));
    expect(await answer()).toEqual([`${line('one-moment')} ${line('invoice')}`]);
  });

  it('answers a note of the system that comes after the caller', async () => {
    client.send(user('Where is my parcel?'));
    client.send({
      type: 'conversation.item.create',
      item: {
        type: 'message',
        role: 'system',
        content: [{ type: 'input_text', text: 'The caller pressed 1: invoice.' }],
      },
    });
    expect(await answer()).toEqual([line('one-moment'), line('invoice')]);
  });

  it.each(Object.keys(manifest.calls))('answers the recorded call %s as its fixture expects', async (id) => {
    const { expectReplies, utterances } = manifest.calls[id]!;
    client.stream(recordedCall(id));
    const said: string[] = [];
    for (const _ of utterances) {
      const { response } = await client.next('response.done');
      for (const item of response.output ?? []) {
        if (item.type === 'message' && 'transcript' in item.content[0]!) said.push(item.content[0].transcript ?? '');
      }
    }
    expect(said).toEqual(expectReplies.map(line));
  });
});

describe('a function call', () => {
  it('follows the words in the same response, in the order of the service', async () => {
    await client.update({ tools: [TRANSFER] });
    client.send(user('Give me the operator'));
    await client.next('conversation.item.done');
    const before = client.types.length;
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    await client.next('rate_limits.updated');

    const types = client.types
      .slice(before)
      .filter((type, index, all) => !(type.endsWith('.delta') && all.indexOf(type) < index));
    expect(types).toEqual([
      'response.created',
      'response.output_item.added',
      'conversation.item.added',
      'response.content_part.added',
      'response.output_audio_transcript.delta',
      'response.output_audio.delta',
      'response.output_audio.done',
      'response.output_audio_transcript.done',
      'response.content_part.done',
      'conversation.item.done',
      'response.output_item.done',
      'response.output_item.added',
      'conversation.item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'conversation.item.done',
      'response.output_item.done',
      'response.done',
      'rate_limits.updated',
    ]);
    const [message, call] = response.output ?? [];
    expect(message).toMatchObject({ type: 'message', phase: 'commentary', status: 'completed' });
    expect(call).toMatchObject({ type: 'function_call', name: 'transfer_to_extension', status: 'completed' });
    expect(JSON.parse((call as { arguments: string }).arguments)).toMatchObject({ extension: '200' });

    const added = client.all('response.output_item.added').at(-1)!;
    expect(added).toMatchObject({ output_index: 1, item: { arguments: '', status: 'in_progress' } });
    const done = client.all('response.function_call_arguments.done')[0]!;
    expect(done).toMatchObject({ name: 'transfer_to_extension', call_id: (call as { call_id: string }).call_id });
    const deltas = client.all('response.function_call_arguments.delta').map(({ delta }) => delta);
    expect(deltas.join('')).toBe(done.arguments);
    expect(done.call_id).toMatch(/^call_[A-Za-z0-9]{16}$/);
  });

  it('is not made when the session does not offer the tool, or forbids tools', async () => {
    client.send(user('Give me the operator'));
    expect(await answer()).toEqual([line('transfer')]);
    await client.update({ tools: [TRANSFER], tool_choice: 'none' });
    expect(await answer()).toEqual([line('transfer')]);
    expect(client.types).not.toContain('response.function_call_arguments.done');
  });

  it('is made without words when the request insists on it', async () => {
    await client.update({ tools: [TRANSFER] });
    client.send(user('Hello'));
    expect(await answer({ tool_choice: { type: 'function', name: TRANSFER.name } })).toEqual([]);
    expect(client.all('response.function_call_arguments.done')[0]).toMatchObject({ output_index: 0 });
  });

  it('is followed up once its result is there and a response is asked for', async () => {
    await client.update({ tools: [TRANSFER] });
    client.send(user('Give me the operator'));
    await answer();
    const { call_id: callId } = client.all('response.function_call_arguments.done')[0]!;
    const output = { type: 'function_call_output', call_id: callId, output: '{"ok":true}' };
    client.send({ type: 'conversation.item.create', item: output });
    await client.next('conversation.item.done', ({ item }) => item.type === 'function_call_output');
    await client.update({});
    expect(client.all('response.created')).toHaveLength(1);
    expect(await answer()).toEqual([line('anything-else')]);
  });

  it('has its result taken in after the response that made it', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 20 });
    client = await TestClient.connect(slow.url);
    const tool = { ...TRANSFER, name: 'end_call' };
    await client.update({ tools: [tool] });
    client.send(user('Goodbye'));
    client.send({ type: 'response.create' });
    const { call_id: callId } = await client.next('response.function_call_arguments.delta');
    client.send({
      type: 'conversation.item.create',
      item: { type: 'function_call_output', call_id: callId, output: 'done' },
    });
    await client.next('conversation.item.added', ({ item }) => item.type === 'function_call_output');
    const { types } = client;
    expect(types.lastIndexOf('conversation.item.added')).toBeGreaterThan(types.indexOf('response.done'));
    await slow.close();
  });
});

describe('response.create', () => {
  it('is refused while another response of the conversation is going on', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 1 });
    client = await TestClient.connect(slow.url);
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.created');
    expect(await client.refused({ type: 'response.create', event_id: 'rc-7' })).toEqual({
      type: 'invalid_request_error',
      code: 'conversation_already_has_active_response',
      message: `Conversation already has an active response in progress: ${response.id}. Wait until the response is finished before creating a new one.`,
      param: null,
      event_id: 'rc-7',
    });
    await slow.close();
  });

  it('takes settings for one response', async () => {
    client.send({
      type: 'response.create',
      response: {
        metadata: { why: 'greeting' },
        max_output_tokens: 4000,
        audio: { output: { format: { type: 'audio/pcma' }, voice: 'cedar' } },
      },
    });
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      metadata: { why: 'greeting' },
      max_output_tokens: 4000,
      audio: { output: { format: { type: 'audio/pcma' }, voice: 'cedar' } },
    });
    const bytes = client.audioOf(response.output?.[0]?.id ?? '').length;
    expect(bytes / 8).toBeCloseTo(manifest.agentLines.greeting!.durationMs, -1);
  });

  it('writes instead of speaking when asked for text', async () => {
    await client.update({ output_modalities: ['text'] });
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      output_modalities: ['text'],
      output: [{ status: 'completed', content: [{ type: 'output_text', text: line('greeting') }] }],
    });
    expect(
      client
        .all('response.output_text.delta')
        .map(({ delta }) => delta)
        .join(''),
    ).toBe(line('greeting'));
    expect(client.all('response.output_text.done')[0]?.text).toBe(line('greeting'));
    expect(client.all('response.content_part.added')[0]?.part).toEqual({ type: 'text', text: '' });
    expect(client.all('response.content_part.done')[0]?.part).toEqual({ type: 'text', text: line('greeting') });
    expect(client.types.filter((type) => type.includes('output_audio'))).toEqual([]);
    expect(response.usage?.output_token_details?.audio_tokens).toBe(0);
  });

  it('stops at the number of tokens it was given', async () => {
    client.send({ type: 'response.create', response: { max_output_tokens: 20 } });
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      status: 'incomplete',
      status_details: { type: 'incomplete', reason: 'max_output_tokens' },
      output: [{ status: 'incomplete' }],
    });
    expect(response.usage?.output_tokens).toBeGreaterThan(0);
    expect(response.usage?.output_tokens).toBeLessThanOrEqual(20);
  });

  it.each([
    ['too much metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, 'v'])) }],
    ['too long a value', { metadata: { key: 'x'.repeat(513) } }],
    ['too long a key', { metadata: { ['x'.repeat(65)]: 'v' } }],
    ['an unknown field', { modalities: ['audio'] }],
    ['both modalities', { output_modalities: ['audio', 'text'] }],
    ['a reference to nothing', { conversation: 'none', input: [{ type: 'item_reference', id: 'nobody' }] }],
  ])('refuses %s', async (_what, response) => {
    expect(await client.refused({ type: 'response.create', response })).toMatchObject({ event_id: 'ev-1' });
    expect(client.types).not.toContain('response.created');
  });
});

describe('an out-of-band response', () => {
  const summary = { conversation: 'none', output_modalities: ['text'], metadata: { why: 'summary' } };

  it('runs beside the conversation and writes nothing into it', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 10 });
    client = await TestClient.connect(slow.url);
    client.send(user('Where is my parcel?'));
    client.send({ type: 'response.create' });
    const { response: spoken } = await client.next('response.created');
    client.send({ type: 'response.create', response: { ...summary, input: [] } });
    client.send({ type: 'response.create', response: summary });
    const done = await client.next('response.done', ({ response }) => response.conversation_id === null);
    expect(done.response).toMatchObject({ status: 'completed', metadata: { why: 'summary' }, conversation_id: null });
    await client.next('response.done', ({ response }) => response.id === spoken.id);

    const aside = client.all('response.created').filter(({ response }) => response.conversation_id === null);
    expect(aside).toHaveLength(2);
    const texts = client.all('response.output_text.done').map(({ text }) => text);
    expect(texts[0]).toBe('Nothing has been said yet.');
    expect(texts[1]).toContain('Where is my parcel?');
    const ids = slow.connections[0]!.items.map((item) => (item as { id: string }).id);
    for (const { item_id: itemId } of client.all('response.output_text.done')) expect(ids).not.toContain(itemId);
    expect(client.all('conversation.item.added')).toHaveLength(2);
    await slow.close();
  });

  it('takes a context of items and references', async () => {
    client.send({ ...user('Where is my parcel?'), item: { ...user('Where is my parcel?').item, id: 'asked' } });
    await client.next('conversation.item.done');
    const input = [
      { type: 'item_reference', id: 'asked' },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Summarise.' }] },
    ];
    expect(await answer({ ...summary, input })).toEqual([
      'The caller said: Where is my parcel? Summarise.. The assistant said: nothing.',
    ]);
  });

  it('is cancelled by its id alone', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 0.1 });
    client = await TestClient.connect(slow.url);
    client.send({ type: 'response.create', response: summary });
    const { response } = await client.next('response.created');
    expect(await client.refused({ type: 'response.cancel' })).toMatchObject({ code: 'response_cancel_not_active' });
    client.send({ type: 'response.cancel', response_id: response.id });
    expect((await client.next('response.done')).response).toMatchObject({
      id: response.id,
      status: 'cancelled',
      status_details: { type: 'cancelled', reason: 'client_cancelled' },
    });
    await slow.close();
  });
});

describe('response.cancel', () => {
  it('is a harmless error when nothing is going on', async () => {
    expect(await client.refused({ type: 'response.cancel' })).toEqual({
      type: 'invalid_request_error',
      code: 'response_cancel_not_active',
      message: 'Cancellation failed: no active response found',
      param: null,
      event_id: 'ev-1',
    });
    const error = await client.refused({ type: 'response.cancel', response_id: 'resp_x' });
    expect(error.code).toBe('response_cancel_not_active');
  });

  it('ends a response with all its ladder, billed for what was generated', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 1 });
    client = await TestClient.connect(slow.url);
    client.send({ type: 'response.create' });
    await client.next('response.output_audio.delta');
    client.send({ type: 'response.cancel' });
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      status: 'cancelled',
      status_details: { type: 'cancelled', reason: 'client_cancelled' },
      output: [{ status: 'incomplete' }],
    });
    const heardMs = client.audioOf(response.output?.[0]?.id ?? '').length / 48;
    expect(response.usage?.output_token_details?.audio_tokens).toBe(Math.round(heardMs / 50));
    await client.next('rate_limits.updated');
    client.send({ type: 'response.create' });
    await client.next('response.created');
    await slow.close();
  });

  it('cuts a function call short with the arguments it had', async () => {
    const slow = await RealtimeSimulator.listen({ ...INSTANT, speedup: 0.5 });
    client = await TestClient.connect(slow.url);
    await client.update({ tools: [TRANSFER] });
    client.send(user('operator'));
    client.send({ type: 'response.create', response: { tool_choice: { type: 'function', name: TRANSFER.name } } });
    await client.next('response.function_call_arguments.delta');
    client.send({ type: 'response.cancel' });
    const done = await client.next('response.function_call_arguments.done');
    expect(() => JSON.parse(done.arguments)).toThrow(SyntaxError);
    const { item } = await client.next('response.output_item.done');
    expect(item).toMatchObject({ type: 'function_call', status: 'incomplete' });
    await slow.close();
  });
});

describe('rate_limits.updated', () => {
  it('follows each response with what is left', async () => {
    await answer();
    const event = await client.next('rate_limits.updated');
    const { total_tokens: used = 0 } = client.all('response.done')[0]!.response.usage ?? {};
    expect(event.rate_limits).toEqual([
      { name: 'tokens', limit: 15_000_000, remaining: 15_000_000 - used, reset_seconds: expect.any(Number) },
    ]);
  });
});
