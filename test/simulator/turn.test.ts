import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, joined, manifest, PCM, recordedCall, silence, speech, TestClient } from './client.ts';

/** Events in their order, runs of the same delta once. */
function ladder(types: readonly string[]): string[] {
  return types.filter((type, index) => !(type.endsWith('.delta') && types.indexOf(type) < index));
}

describe('a turn that voice activity detects', () => {
  let simulator: RealtimeSimulator;
  let client: TestClient;

  beforeEach(async () => {
    simulator = await RealtimeSimulator.listen({ ...INSTANT, transcriptionDelayMs: 20 });
    client = await TestClient.connect(simulator.url);
  });
  afterEach(() => simulator.close());

  it('goes through all events in the order of the service', async () => {
    client.say(800);
    await client.next('rate_limits.updated');

    expect(ladder(client.types)).toEqual([
      'session.created',
      'input_audio_buffer.speech_started',
      'input_audio_buffer.speech_stopped',
      'input_audio_buffer.committed',
      'conversation.item.added',
      'conversation.item.done',
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
      'response.done',
      'rate_limits.updated',
    ]);
  });

  it('gives all five events of the caller the same item, without a transcript', async () => {
    client.say(800);
    const { item_id: itemId } = await client.next('input_audio_buffer.speech_started');
    const stopped = await client.next('input_audio_buffer.speech_stopped');
    const committed = await client.next('input_audio_buffer.committed');
    const added = await client.next('conversation.item.added');
    const done = await client.next('conversation.item.done');

    expect([stopped.item_id, committed.item_id, added.item.id, done.item.id]).toEqual(Array(4).fill(itemId));
    expect(added.item).toEqual({
      id: itemId,
      type: 'message',
      status: 'completed',
      role: 'user',
      content: [{ type: 'input_audio', transcript: null }],
    });
    expect(committed.previous_item_id).toBeNull();
  });

  it('counts offsets in audio written, with the padding before and the silence behind', async () => {
    client.say(800);
    const started = await client.next('input_audio_buffer.speech_started');
    const stopped = await client.next('input_audio_buffer.speech_stopped');
    expect(started.audio_start_ms).toBe(500 - 300);
    expect(stopped.audio_end_ms).toBe(500 + 800 + 500);

    // 500 ms of what `say` sent are left over; the next turn's padding reaches back into them.
    client.stream(joined(speech(400), silence(600)));
    const next = await client.next('input_audio_buffer.speech_started');
    expect(next.audio_start_ms).toBe(2300 - 300);
  });

  it('lets the padding of a turn overlap the turn before', async () => {
    await client.update({ audio: { input: { turn_detection: { type: 'server_vad', silence_duration_ms: 200 } } } });
    client.stream(joined(silence(500), speech(500), silence(260), speech(400), silence(500)));
    const first = await client.next('input_audio_buffer.speech_stopped');
    const second = await client.next('input_audio_buffer.speech_started');
    expect(first.audio_end_ms).toBe(1200);
    expect(second.audio_start_ms).toBe(1260 - 300);
  });

  it('chains the items of both sides', async () => {
    client.say(600);
    await client.next('response.done');
    client.say(600);
    await client.next('response.done');

    const added = client.all('conversation.item.added');
    expect(added.map(({ previous_item_id: previous }) => previous)).toEqual([
      null,
      ...added.slice(0, -1).map(({ item }) => item.id),
    ]);
    const [, second] = client.all('input_audio_buffer.committed');
    expect(second?.previous_item_id).toBe(added[1]?.item.id);
  });

  it('sends the whole line, in deltas of the recorded sizes, with the same words in text', async () => {
    client.send({ type: 'response.create' });
    const done = await client.next('response.done');
    const item = done.response.output?.[0];
    const { text, durationMs } = manifest.agentLines.greeting!;

    const sizes = client
      .all('response.output_audio.delta')
      .map(({ delta }) => Buffer.from(delta, 'base64').length / 48);
    expect(sizes.slice(0, 6)).toEqual([100, 150, 250, 250, 250, 600]);
    expect(sizes.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(durationMs, -1);
    expect(
      client
        .all('response.output_audio_transcript.delta')
        .map(({ delta }) => delta)
        .join(''),
    ).toBe(text);
    expect(client.all('response.output_audio_transcript.done')[0]?.transcript).toBe(text);
    expect(client.all('response.content_part.done')[0]?.part).toEqual({ type: 'audio', transcript: text });
    expect(item).toMatchObject({ status: 'completed', content: [{ type: 'output_audio', transcript: text }] });
  });

  it('gives every event an id of its own, and every id the shape of the service', async () => {
    client.say(800);
    await client.next('rate_limits.updated');
    const ids = client.events.map((event) => ('event_id' in event ? event.event_id : ''));
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^event_[A-Za-z0-9]{21}$/);
    const { response } = client.all('response.created')[0]!;
    expect(response.id).toMatch(/^resp_[A-Za-z0-9]{21}$/);
    expect(response.conversation_id).toMatch(/^conv_[A-Za-z0-9]{21}$/);
    expect(client.all('input_audio_buffer.committed')[0]?.item_id).toMatch(/^item_[A-Za-z0-9]{21}$/);
  });

  it('echoes the response with nulls where nothing is known yet', async () => {
    client.send({ type: 'response.create' });
    const { response } = await client.next('response.created');
    expect(response).toEqual({
      object: 'realtime.response',
      id: response.id,
      status: 'in_progress',
      status_details: null,
      output: [],
      conversation_id: response.conversation_id,
      output_modalities: ['audio'],
      max_output_tokens: 'inf',
      audio: { output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'alloy' } },
      usage: null,
      metadata: null,
    });
  });

  it('keeps quiet when create_response is off, and does not transcribe unless asked', async () => {
    await client.update({ audio: { input: { turn_detection: { type: 'server_vad', create_response: false } } } });
    client.say(600);
    await client.next('conversation.item.done');
    client.send({ type: 'input_audio_buffer.clear' });
    await client.next('input_audio_buffer.cleared');
    expect(client.types).not.toContain('response.created');
    expect(client.types.filter((type) => type.includes('transcription'))).toEqual([]);
  });
});

describe('transcription', () => {
  let simulator: RealtimeSimulator;
  afterEach(() => simulator.close());

  async function transcribed(model: string) {
    simulator = await RealtimeSimulator.listen(INSTANT);
    const client = await TestClient.connect(simulator.url);
    await client.update({ audio: { input: { transcription: { model, language: 'en' } } } });
    client.stream(recordedCall('transfer-request-16k'), PCM);
    return { client, completed: await client.next('conversation.item.input_audio_transcription.completed') };
  }

  it('tells what the caller said, in deltas and at once, and is billed by tokens', async () => {
    const { client, completed } = await transcribed('gpt-4o-mini-transcribe');
    const [{ text } = { text: '' }] = manifest.calls['transfer-request-16k']!.utterances;
    const { item_id: itemId } = client.all('input_audio_buffer.committed')[0]!;
    expect(completed).toMatchObject({ item_id: itemId, content_index: 0, transcript: text });
    const deltas = client.all('conversation.item.input_audio_transcription.delta');
    expect(deltas.map(({ delta }) => delta).join('')).toBe(text);
    expect(completed.usage).toEqual({
      type: 'tokens',
      total_tokens: 37 + 11,
      input_tokens: 37,
      output_tokens: 11,
      input_token_details: { text_tokens: 0, audio_tokens: 37 },
    });
  });

  it('is billed by duration and comes in one piece with whisper-1', async () => {
    const { client, completed } = await transcribed('whisper-1');
    expect(completed.usage).toEqual({ type: 'duration', seconds: 4 });
    expect(client.all('conversation.item.input_audio_transcription.delta')).toHaveLength(1);
  });

  it('calls speech that is none of the recordings by its length', async () => {
    simulator = await RealtimeSimulator.listen(INSTANT);
    const client = await TestClient.connect(simulator.url);
    await client.update({ audio: { input: { transcription: { model: 'whisper-1' } } } });
    client.say(1100);
    const { transcript } = await client.next('conversation.item.input_audio_transcription.completed');
    expect(transcript).toBe('(unrecognised speech, 1.9 s)');
  });
});

describe('usage', () => {
  it('bills every response for the whole conversation, and finds the old part in the cache', async () => {
    const simulator = await RealtimeSimulator.listen(INSTANT);
    const client = await TestClient.connect(simulator.url, { model: 'gpt-realtime' });
    await client.update({ instructions: 'Be brief and kind.' });
    client.send({ type: 'response.create' });
    const first = (await client.next('response.done')).response.usage;
    const { text, durationMs } = manifest.agentLines.greeting!;
    const words = text.split(' ').length;
    const audio = Math.round(durationMs / 50);

    expect(first).toEqual({
      total_tokens: 4 + words + audio,
      input_tokens: 4,
      output_tokens: words + audio,
      input_token_details: {
        text_tokens: 4,
        audio_tokens: 0,
        image_tokens: 0,
        cached_tokens: 0,
        cached_tokens_details: { text_tokens: 0, audio_tokens: 0, image_tokens: 0 },
      },
      output_token_details: { text_tokens: words, audio_tokens: audio },
    });

    client.say(900);
    const { usage: second } = (await client.next('response.done')).response;
    const { item_id: itemId } = client.all('input_audio_buffer.committed')[0]!;
    const start = client.all('input_audio_buffer.speech_started')[0]!.audio_start_ms;
    const end = client.all('input_audio_buffer.speech_stopped')[0]!.audio_end_ms;
    expect(itemId).toBeTruthy();
    expect(second?.input_token_details).toEqual({
      text_tokens: 4 + words,
      audio_tokens: audio + Math.round((end - start) / 100),
      image_tokens: 0,
      cached_tokens: 4,
      cached_tokens_details: { text_tokens: 4, audio_tokens: 0, image_tokens: 0 },
    });

    client.say(900);
    const { usage: third } = (await client.next('response.done')).response;
    expect(third?.input_token_details?.cached_tokens).toBe(second?.input_tokens);
    expect(third?.input_tokens).toBeGreaterThan(second?.input_tokens ?? 0);
    await simulator.close();
  });
});
