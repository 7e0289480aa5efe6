import { afterEach, describe, expect, it } from 'vitest';
import type { Faults } from '../../src/simulator/faults.ts';
import { RealtimeSimulator, type SimulatorOptions } from '../../src/simulator/server.ts';
import { INSTANT, joined, silence, speech, TestClient } from './client.ts';

let simulator: RealtimeSimulator;
afterEach(() => simulator.close());

/** A client that has just asked for the greeting. */
async function greeting(options: SimulatorOptions, faults: Faults = {}): Promise<TestClient> {
  simulator = await RealtimeSimulator.listen({ ...INSTANT, ...options, faults });
  const client = await TestClient.connect(simulator.url);
  client.send({ type: 'response.create' });
  return client;
}

const interruption = joined(speech(600), silence(800));

describe('when the caller speaks while the response is being generated', () => {
  it('goes through the ladder of a cancelled response, then the new turn', async () => {
    const client = await greeting({ speedup: 1 });
    await client.next('response.output_audio.delta');
    client.stream(interruption);
    await client.next('response.created');

    const from = client.types.indexOf('input_audio_buffer.speech_started');
    expect(client.types.slice(from, client.types.lastIndexOf('response.created') + 1)).toEqual([
      'input_audio_buffer.speech_started',
      'response.output_audio.done',
      'response.output_audio_transcript.done',
      'response.content_part.done',
      'conversation.item.done',
      'response.output_item.done',
      'response.done',
      'rate_limits.updated',
      'input_audio_buffer.speech_stopped',
      'input_audio_buffer.committed',
      'conversation.item.added',
      'conversation.item.done',
      'response.created',
    ]);
    const { response } = client.all('response.done')[0]!;
    expect(response).toMatchObject({
      status: 'cancelled',
      status_details: { type: 'cancelled', reason: 'turn_detected' },
      output: [{ status: 'incomplete' }],
    });
    expect(response.usage?.output_tokens).toBeGreaterThan(0);
    const said = client
      .all('response.output_audio_transcript.delta')
      .filter(({ response_id: id }) => id === response.id)
      .map(({ delta }) => delta)
      .join('');
    expect(client.all('response.output_audio_transcript.done')[0]?.transcript).toBe(said);
    const itemId = response.output?.[0]?.id;
    expect(client.all('input_audio_buffer.committed')[0]?.previous_item_id).toBe(itemId);
  });

  it('truncates the interrupted item up to what was generated', async () => {
    const client = await greeting({ speedup: 1 });
    await client.next('response.output_audio.delta');
    client.stream(speech(200));
    const { response } = await client.next('response.done');
    const itemId = response.output?.[0]?.id ?? '';
    const generatedMs = client.audioOf(itemId).length / 48;
    const truncate = { type: 'conversation.item.truncate', item_id: itemId, content_index: 0 };
    const error = await client.refused({ ...truncate, audio_end_ms: generatedMs + 1 });
    expect(error.message).toBe(`Audio content of ${generatedMs}ms is already shorter than ${generatedMs + 1}ms`);
    client.send({ ...truncate, audio_end_ms: generatedMs - 1 });
    await client.next('conversation.item.truncated');
  });

  it('cancels without any output while the model is still thinking', async () => {
    const client = await greeting({ speedup: 1, responseDelayMs: 60_000 });
    await client.next('response.created');
    client.stream(speech(200));
    const { response } = await client.next('response.done');
    expect(response).toMatchObject({
      status: 'cancelled',
      status_details: { type: 'cancelled', reason: 'turn_detected' },
      output: [],
    });
    expect(response.usage).toMatchObject({ total_tokens: 0, input_tokens: 0, output_tokens: 0 });
    expect(client.types).toEqual([
      'session.created',
      'response.created',
      'input_audio_buffer.speech_started',
      'response.done',
    ]);
  });

  it('does nothing to a response that interrupt_response protects, and the turn gets none', async () => {
    simulator = await RealtimeSimulator.listen({ ...INSTANT, speedup: 1 });
    const client = await TestClient.connect(simulator.url);
    const protect = { type: 'server_vad', interrupt_response: false, silence_duration_ms: 100 };
    await client.update({ audio: { input: { turn_detection: protect } } });
    client.send({ type: 'response.create' });
    await client.next('response.output_audio.delta');
    client.stream(interruption);
    await client.next('input_audio_buffer.committed');
    await client.next('response.output_audio.delta');
    await client.update({});
    expect(client.all('response.created')).toHaveLength(1);
    expect(client.types).not.toContain('response.done');
  });
});

describe('variants of the interruption', () => {
  it('finds the response complete, so that nothing is cancelled', async () => {
    const client = await greeting({ speedup: 1 }, { bargeIn: 'after_generation' });
    await client.next('response.done');
    client.stream(speech(200));
    await client.next('input_audio_buffer.speech_started');
    await client.update({});
    expect(client.all('response.done')).toHaveLength(1);
    const { response } = client.all('response.done')[0]!;
    expect(response.status).toBe('completed');
    const truncate = { type: 'conversation.item.truncate', item_id: response.output?.[0]?.id, content_index: 0 };
    client.send({ ...truncate, audio_end_ms: 700 });
    await client.next('conversation.item.truncated');
  });

  it('holds the output back until the caller speaks', async () => {
    const client = await greeting({ speedup: 50 }, { bargeIn: 'before_output' });
    await client.next('response.created');
    client.stream(interruption);
    expect((await client.next('response.done')).response).toMatchObject({ status: 'cancelled', output: [] });
    expect((await client.next('response.done')).response).toMatchObject({ status: 'completed' });
  });

  it('goes on as if the caller had not spoken', async () => {
    const client = await greeting({ speedup: 4 }, { bargeIn: 'ignored' });
    await client.next('response.output_audio.delta');
    client.stream(interruption);
    await client.next('input_audio_buffer.committed');
    expect((await client.next('response.done')).response.status).toBe('completed');
    await client.update({});
    expect(client.all('response.created')).toHaveLength(1);
  });

  it('lets a few deltas straggle', async () => {
    const client = await greeting({ speedup: 1 }, { bargeIn: 'straggling_deltas' });
    await client.next('response.output_audio.delta');
    client.stream(speech(200));
    const { response } = await client.next('response.done');
    const from = client.types.indexOf('input_audio_buffer.speech_started');
    expect(client.types.slice(from, from + 5)).toEqual([
      'input_audio_buffer.speech_started',
      'response.output_audio.delta',
      'response.output_audio.delta',
      'response.output_audio.delta',
      'response.output_audio.done',
    ]);
    expect(client.all('response.output_audio.delta').every(({ response_id: id }) => id === response.id)).toBe(true);
  });
});
