import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RealtimeSimulator } from '../../src/simulator/server.ts';
import { INSTANT, joined, manifest, PCMU, silence, speech, TestClient } from './client.ts';

const FULL = {
  instructions: 'You are the front desk.',
  output_modalities: ['audio'],
  audio: {
    input: {
      format: { type: 'audio/pcmu' },
      noise_reduction: { type: 'near_field' },
      transcription: { model: 'gpt-4o-mini-transcribe', language: 'it' },
      turn_detection: {
        type: 'server_vad',
        threshold: 0.6,
        prefix_padding_ms: 250,
        silence_duration_ms: 450,
        idle_timeout_ms: 6000,
        create_response: true,
        interrupt_response: false,
      },
    },
    output: { format: { type: 'audio/pcmu' }, voice: 'marin' },
  },
  tools: [{ type: 'function', name: 'transfer_call', description: 'Transfers.', parameters: { type: 'object' } }],
  tool_choice: 'auto',
  max_output_tokens: 4096,
};

let simulator: RealtimeSimulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await RealtimeSimulator.listen(INSTANT);
});
afterAll(() => simulator.close());
beforeEach(async () => {
  client = await TestClient.connect(simulator.url);
});

describe('session.created', () => {
  it('has the defaults of the service', async () => {
    const now = Date.now() / 1000;
    const fresh = await TestClient.connect(simulator.url, { model: 'gpt-realtime' });
    const { session } = fresh.all('session.created')[0]!;
    expect(session).toEqual({
      type: 'realtime',
      object: 'realtime.session',
      id: expect.stringMatching(/^sess_[A-Za-z0-9]{21}$/),
      model: 'gpt-realtime',
      output_modalities: ['audio'],
      instructions: expect.stringMatching(/./),
      tools: [],
      tool_choice: 'auto',
      max_output_tokens: 'inf',
      tracing: null,
      truncation: 'auto',
      prompt: null,
      expires_at: expect.any(Number),
      audio: {
        input: {
          format: { type: 'audio/pcm', rate: 24_000 },
          transcription: null,
          noise_reduction: null,
          turn_detection: {
            type: 'server_vad',
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 200,
            idle_timeout_ms: null,
            create_response: true,
            interrupt_response: true,
          },
        },
        output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'alloy', speed: 1 },
      },
      include: null,
    });
    const { expires_at: expiresAt } = session as unknown as { expires_at: number };
    expect(Math.abs(expiresAt - now - 3600)).toBeLessThan(60);
  });

  it.each([
    ['gpt-realtime', 200],
    ['gpt-realtime-2025-08-28', 200],
    ['gpt-realtime-1.5', 200],
    ['gpt-realtime-2', 500],
    ['gpt-realtime-2.1', 500],
    ['gpt-realtime-2.1-mini', 500],
  ])('gives %s a silence window of %d ms', async (model, silenceMs) => {
    const fresh = await TestClient.connect(simulator.url, { model });
    const [{ session }] = fresh.all('session.created') as never as [{ session: { audio: unknown; model: string } }];
    expect(session.model).toBe(model);
    expect(session.audio).toMatchObject({ input: { turn_detection: { silence_duration_ms: silenceMs } } });
  });
});

describe('session.update', () => {
  it('is echoed whole', async () => {
    const before = client.all('session.created')[0]!.session;
    const after = await client.update(FULL);
    expect(after).toEqual({
      ...before,
      ...FULL,
      audio: { input: FULL.audio.input, output: { ...FULL.audio.output, speed: 1 } },
    });
  });

  it('keeps what it does not name', async () => {
    const first = await client.update(FULL);
    const second = await client.update({
      audio: { input: { turn_detection: { type: 'server_vad', threshold: 0.9 } } },
    });
    expect(second).toEqual({
      ...first,
      audio: {
        ...FULL.audio,
        output: { ...FULL.audio.output, speed: 1 },
        input: { ...FULL.audio.input, turn_detection: { ...FULL.audio.input.turn_detection, threshold: 0.9 } },
      },
    });
  });

  it('clears with an empty text, an empty list and null', async () => {
    await client.update(FULL);
    const input = { turn_detection: null, transcription: null, noise_reduction: null };
    const cleared = await client.update({ instructions: '', tools: [], audio: { input } });
    expect(cleared).toMatchObject({ instructions: '', tools: [], audio: { input } });
  });

  it('starts another kind of turn detection from its defaults', async () => {
    const session = await client.update({
      audio: { input: { turn_detection: { type: 'semantic_vad', eagerness: 'low' } } },
    });
    expect(session.audio?.input?.turn_detection).toEqual({
      type: 'semantic_vad',
      eagerness: 'low',
      create_response: true,
      interrupt_response: true,
    });
  });

  it.each([
    ['no type', {}, 'missing_required_parameter', 'session.type'],
    ['an unknown type', { type: 'chat' }, 'invalid_value', 'session.type'],
    ['a transcription session', { type: 'transcription' }, 'invalid_value', 'session.type'],
    [
      'PCM without a rate',
      { type: 'realtime', audio: { input: { format: { type: 'audio/pcm' } } } },
      'missing_required_parameter',
      'session.audio.input.format.rate',
    ],
    [
      'a PCM rate it does not speak',
      { type: 'realtime', audio: { output: { format: { type: 'audio/pcm', rate: 16_000 } } } },
      'integer_below_min_value',
      'session.audio.output.format.rate',
    ],
    [
      "the beta's format names",
      { type: 'realtime', audio: { input: { format: 'g711_ulaw' } } },
      'invalid_type',
      'session.audio.input.format',
    ],
    ["the beta's modalities", { type: 'realtime', modalities: ['audio'] }, 'unknown_parameter', 'session.modalities'],
    ["the beta's voice", { type: 'realtime', voice: 'alloy' }, 'unknown_parameter', 'session.voice'],
    ['a temperature', { type: 'realtime', temperature: 0.8 }, 'unknown_parameter', 'session.temperature'],
    [
      'an unknown field deep inside',
      { type: 'realtime', audio: { input: { turn_detection: { type: 'semantic_vad', threshold: 0.5 } } } },
      'unknown_parameter',
      'session.audio.input.turn_detection.threshold',
    ],
    [
      'a null create_response',
      { type: 'realtime', audio: { input: { turn_detection: { type: 'server_vad', create_response: null } } } },
      'invalid_type',
      'session.audio.input.turn_detection.create_response',
    ],
    [
      'an untyped turn detection',
      { type: 'realtime', audio: { input: { turn_detection: { threshold: 0.4 } } } },
      'missing_required_parameter',
      'session.audio.input.turn_detection.type',
    ],
    [
      'a threshold above 1',
      { type: 'realtime', audio: { input: { turn_detection: { type: 'server_vad', threshold: 2 } } } },
      'decimal_above_max_value',
      'session.audio.input.turn_detection.threshold',
    ],
    [
      'too short an idle timeout',
      { type: 'realtime', audio: { input: { turn_detection: { type: 'server_vad', idle_timeout_ms: 1000 } } } },
      'integer_below_min_value',
      'session.audio.input.turn_detection.idle_timeout_ms',
    ],
    [
      'an unknown voice',
      { type: 'realtime', audio: { output: { voice: 'bob' } } },
      'invalid_value',
      'session.audio.output.voice',
    ],
    [
      'both modalities',
      { type: 'realtime', output_modalities: ['audio', 'text'] },
      'array_above_max_length',
      'session.output_modalities',
    ],
    [
      'a nested tool',
      { type: 'realtime', tools: [{ type: 'function', function: { name: 'x' } }] },
      'unknown_parameter',
      'session.tools[0].function',
    ],
    [
      'a transcription without a model',
      { type: 'realtime', audio: { input: { transcription: { language: 'it' } } } },
      'missing_required_parameter',
      'session.audio.input.transcription.model',
    ],
    [
      'keywords for a model without them',
      { type: 'realtime', audio: { input: { transcription: { model: 'whisper-1', keywords: ['invoice'] } } } },
      'invalid_parameter',
      'session.audio.input.transcription.keywords',
    ],
    ['another model', { type: 'realtime', model: 'gpt-realtime' }, 'invalid_value', 'session.model'],
  ])('refuses %s as a whole, and says which event it was', async (_what, session, code, param) => {
    const error = await client.refused({ type: 'session.update', session: { instructions: 'Changed.', ...session } });
    expect(error).toEqual({
      type: 'invalid_request_error',
      code,
      message: expect.stringMatching(/./),
      param,
      event_id: 'ev-1',
    });
    expect(simulator.connections.at(-1)?.session.instructions).not.toBe('Changed.');
    expect(client.types).not.toContain('session.updated');
    await client.update({ instructions: 'Still here.' });
  });

  it('refuses reasoning for a model without it', async () => {
    const first = await TestClient.connect(simulator.url, { model: 'gpt-realtime' });
    const session = { type: 'realtime', reasoning: { effort: 'low' } };
    expect(await first.refused({ type: 'session.update', session })).toMatchObject({ code: 'invalid_value' });
    expect(await client.update({ reasoning: { effort: 'high' } })).toMatchObject({ reasoning: { effort: 'high' } });
  });

  it('fixes the voice with the first audio of the assistant, but takes the same one again', async () => {
    await client.update({ audio: { output: { voice: 'cedar' } } });
    client.send({ type: 'response.create' });
    await client.next('response.done');
    const session = { type: 'realtime', audio: { output: { voice: 'marin' } } };
    expect(await client.refused({ type: 'session.update', session })).toMatchObject({
      code: 'cannot_update_voice',
      message: "Cannot update a conversation's voice if assistant audio is present.",
      event_id: 'ev-1',
    });
    await client.update({ audio: { output: { voice: 'cedar' } } });
  });

  it('changes the format of the audio that follows', async () => {
    await client.update({
      audio: { input: { format: { type: 'audio/pcmu' } }, output: { format: { type: 'audio/pcmu' } } },
    });
    client.stream(joined(silence(400, PCMU), speech(600, PCMU), silence(600, PCMU)), PCMU);
    const stopped = await client.next('input_audio_buffer.speech_stopped');
    expect(stopped.audio_end_ms).toBe(1500);
    const { response } = await client.next('response.done');
    expect(response.audio?.output?.format).toEqual({ type: 'audio/pcmu' });
    const audioMs = client.audioOf(response.output?.[0]?.id ?? '').length / 8;
    expect(audioMs).toBeCloseTo(manifest.agentLines['sorry-again']!.durationMs, -1);
    expect(response.usage?.output_token_details?.audio_tokens).toBe(Math.round(audioMs / 50));
  });
});

describe('events that are none', () => {
  it.each([
    ['not JSON', 'hello'],
    ['not an object', '"hello"'],
    ['without a type', '{"event_id":"x"}'],
  ])('answers what is %s with an error and stays', async (_what, frame) => {
    client.socket.send(frame);
    const { error } = await client.next('error');
    expect(error).toMatchObject({ type: 'invalid_request_error', event_id: null });
    await client.update({});
  });

  it('names the types it knows', async () => {
    const error = await client.refused({ type: 'response.cancelled' });
    expect(error).toMatchObject({ code: 'invalid_value', param: 'type', event_id: 'ev-1' });
    expect(error.message).toContain("'response.cancel'");
  });

  it('refuses WebRTC events', async () => {
    expect(await client.refused({ type: 'output_audio_buffer.clear' })).toMatchObject({ code: 'invalid_value' });
  });
});
