import type { RealtimeClientEvent, RealtimeServerEvent } from 'openai/resources/realtime/realtime';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { previousInReplay, replayEvents, toolOutput } from '../../src/realtime/replay.ts';
import type { ResponseOverrides } from '../../src/realtime/response-scheduler.ts';
import { parseServerEvent } from '../../src/realtime/server-events.ts';
import { interruptionUpdate, type RealtimeSettings, sessionUpdate } from '../../src/realtime/settings.ts';
import { responseUsage, transcriptionUsage } from '../../src/realtime/usage.ts';
import { validateEvent } from '../../src/simulator/event-schemas.ts';
import type { ReplayItem } from '../../src/upstream/conversation.ts';
import { NO_TOKENS } from '../../src/upstream/usage.ts';
import { SETTINGS } from '../support/realtime.ts';

const HISTORY: ReplayItem[] = [
  { kind: 'message', itemId: 'item_1', role: 'user', text: 'Where is it?' },
  { kind: 'tool', itemId: 'item_2', toolCallId: 'call_1', name: 'look', arguments: '{"n":1}', output: '{"ok":1}' },
  { kind: 'message', itemId: 'item_3', role: 'assistant', text: 'On its way.' },
  {
    kind: 'tool',
    itemId: 'an id of more than thirty-two characters',
    toolCallId: 'call_2',
    name: 'look',
    arguments: '{}',
  },
];

describe('the events that are sent', () => {
  it('are the published ones, by their types', () => {
    expectTypeOf(sessionUpdate).returns.toExtend<RealtimeClientEvent>();
    expectTypeOf(interruptionUpdate).returns.toExtend<RealtimeClientEvent>();
    expectTypeOf(replayEvents).returns.toExtend<RealtimeClientEvent[]>();
    expectTypeOf(toolOutput).returns.toExtend<RealtimeClientEvent>();
    expectTypeOf<{ type: 'response.create'; response: ResponseOverrides }>().toExtend<RealtimeClientEvent>();
    expectTypeOf<{ type: 'conversation.item.added' }['type']>().toExtend<RealtimeServerEvent['type']>();
  });

  it('pass the schema that the service publishes', () => {
    const events = [sessionUpdate(SETTINGS, 'a'), interruptionUpdate(SETTINGS, 'b'), ...replayEvents(HISTORY)];
    for (const event of events) expect(() => validateEvent(event as never)).not.toThrow();
  });
});

describe('sessionUpdate', () => {
  it('configures everything, turn detection with all its values', () => {
    expect(sessionUpdate(SETTINGS, 'cfg')).toEqual({
      type: 'session.update',
      event_id: 'cfg',
      session: {
        type: 'realtime',
        instructions: 'Answer.',
        output_modalities: ['audio'],
        audio: {
          input: {
            format: { type: 'audio/pcm', rate: 24_000 },
            noise_reduction: { type: 'near_field' },
            transcription: { model: 'gpt-transcribe', language: 'en' },
            turn_detection: {
              type: 'server_vad',
              threshold: 0.5,
              prefix_padding_ms: 300,
              silence_duration_ms: 500,
              create_response: true,
              interrupt_response: true,
            },
          },
          output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'marin', speed: 1 },
        },
        tools: [],
        tool_choice: 'auto',
        max_output_tokens: 4096,
      },
    });
  });

  it('clears with null what is off, and speaks G.711 without a rate', () => {
    const off: RealtimeSettings = {
      ...SETTINGS,
      audioType: 'audio/pcmu',
      noiseReduction: null,
      transcription: null,
      turnDetection: { type: 'semantic_vad', eagerness: 'low' },
      interruptedBy: 'gateway',
    };
    expect(sessionUpdate(off, 'cfg').session).toMatchObject({
      audio: {
        input: {
          format: { type: 'audio/pcmu' },
          noise_reduction: null,
          transcription: null,
          turn_detection: { type: 'semantic_vad', eagerness: 'low', create_response: false, interrupt_response: false },
        },
        output: { format: { type: 'audio/pcmu' } },
      },
    });
  });

  it('says what a profile has to say of the model, and lays over it what this list does not have', () => {
    const settings: RealtimeSettings = {
      ...SETTINGS,
      voice: { id: 'voice_1' },
      noiseReduction: { type: 'far_field', strength: 0.5 },
      transcription: { model: 'gpt-transcribe', keywords: ['Acme'], prompt: 'Orders.' },
      maxOutputTokens: 'inf',
      reasoningEffort: 'minimal',
      truncation: { retentionRatio: 0.8, postInstructionsTokens: 8_000 },
      toolChoice: { type: 'function', name: 'look_up' },
      parallelToolCalls: false,
      more: JSON.parse(
        '{"tracing":"auto","audio":{"output":{"codec":"x"}},"__proto__":{"type":"other"}}',
      ) as object as never,
    };
    const { session } = sessionUpdate(settings, 'cfg');
    expect(session).toMatchObject({
      type: 'realtime',
      tracing: 'auto',
      audio: {
        input: {
          format: { type: 'audio/pcm', rate: 24_000 },
          noise_reduction: { type: 'far_field', strength: 0.5 },
          transcription: { model: 'gpt-transcribe', keywords: ['Acme'], prompt: 'Orders.' },
        },
        output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: { id: 'voice_1' }, codec: 'x' },
      },
      max_output_tokens: 'inf',
      reasoning: { effort: 'minimal' },
      truncation: { type: 'retention_ratio', retention_ratio: 0.8, token_limits: { post_instructions: 8_000 } },
      tool_choice: { type: 'function', name: 'look_up' },
      parallel_tool_calls: false,
    });
    expect(Object.getPrototypeOf(session)).toBe(Object.prototype);
    expect(sessionUpdate({ ...SETTINGS, truncation: 'disabled' }, 'cfg').session).toMatchObject({
      truncation: 'disabled',
    });
  });

  it('names no language that is not known', () => {
    const { session } = sessionUpdate({ ...SETTINGS, transcription: { model: 'gpt-transcribe' } }, 'cfg');
    expect(JSON.stringify(session)).not.toContain('language');
  });
});

describe('interruptionUpdate', () => {
  it('changes who interrupts, and nothing else', () => {
    expect(interruptionUpdate({ ...SETTINGS, interruptedBy: 'gateway' }, 'x').session).toEqual({
      type: 'realtime',
      audio: {
        input: {
          turn_detection: {
            type: 'server_vad',
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            create_response: false,
            interrupt_response: false,
          },
        },
      },
    });
  });
});

describe('a replay', () => {
  it('tells the conversation as text, in order, under its own ids where those may be chosen', () => {
    expect(replayEvents(HISTORY).map((event) => (event as { item: object }).item)).toEqual([
      { type: 'message', id: 'item_1', role: 'user', content: [{ type: 'input_text', text: 'Where is it?' }] },
      { type: 'function_call', id: 'item_2', call_id: 'call_1', name: 'look', arguments: '{"n":1}' },
      { type: 'function_call_output', call_id: 'call_1', output: '{"ok":1}' },
      { type: 'message', id: 'item_3', role: 'assistant', content: [{ type: 'output_text', text: 'On its way.' }] },
      { type: 'function_call', call_id: 'call_2', name: 'look', arguments: '{}' },
    ]);
  });

  it('knows where an item stood, as far as that has a name', () => {
    expect(previousInReplay(HISTORY, 'item_1')).toBe('root');
    expect(previousInReplay(HISTORY, 'item_2')).toBe('item_1');
    expect(previousInReplay(HISTORY, 'item_3')).toBeUndefined();
    expect(previousInReplay(HISTORY, 'unknown')).toBeUndefined();
  });
});

describe('the events that come', () => {
  it('are read if they are JSON with a type', () => {
    expect(parseServerEvent('{"type":"error","error":{}}')).toEqual({ type: 'error', error: {} });
    for (const text of ['', 'null', '[]', '"error"', '{"type":1}', '{}', '{"type":"error"']) {
      expect(parseServerEvent(text)).toBeUndefined();
    }
  });

  it('are billed with zeros for what they leave out', () => {
    expect(responseUsage(null)).toBeUndefined();
    expect(responseUsage({})).toEqual({ tokens: NO_TOKENS, seconds: 0 });
    expect(
      responseUsage({
        input_token_details: {
          text_tokens: 14,
          audio_tokens: 27,
          image_tokens: 85,
          cached_tokens_details: { text_tokens: 4, audio_tokens: 5, image_tokens: 64 },
        },
        output_token_details: { text_tokens: 28, audio_tokens: 136 },
      })?.tokens,
    ).toEqual({
      input_text: 10,
      input_audio: 22,
      input_image: 21,
      cached_text: 4,
      cached_audio: 5,
      cached_image: 64,
      output_text: 28,
      output_audio: 136,
    });
  });

  it('are billed with zeros for what is no number of tokens', () => {
    let unusable = 0;
    const input = {
      text_tokens: -1,
      audio_tokens: 'x',
      cached_tokens_details: { text_tokens: [], audio_tokens: 1e300 },
    };
    const usage = { input_token_details: input, output_token_details: { text_tokens: Number.NaN, audio_tokens: 7 } };
    expect(responseUsage(usage, () => unusable++)?.tokens).toEqual({ ...NO_TOKENS, output_audio: 7 });
    expect(unusable).toBe(5);
    for (const none of ['x', 7]) expect(responseUsage(none, () => unusable++)).toBeUndefined();
    expect(responseUsage([], () => unusable++)).toEqual({ tokens: NO_TOKENS, seconds: 0 });
    expect(transcriptionUsage({ type: 'duration', seconds: 'all day' }, () => unusable++)?.seconds).toBe(0);
    expect(unusable).toBe(8);
  });

  it('count cached tokens without details, the text before the audio', () => {
    const cached = (count: number) =>
      responseUsage({ input_token_details: { text_tokens: 100, audio_tokens: 50, cached_tokens: count } })?.tokens;
    expect(cached(64)).toMatchObject({ input_text: 36, input_audio: 50, cached_text: 64, cached_audio: 0 });
    expect(cached(128)).toMatchObject({ input_text: 0, input_audio: 22, cached_text: 100, cached_audio: 28 });
    expect(cached(1_000)).toMatchObject({ cached_text: 100, cached_audio: 50 });
  });

  it('count tokens of which the server tells the sum alone', () => {
    const usage = { total_tokens: 130, input_tokens: 100, output_tokens: 30 };
    expect(responseUsage(usage)?.tokens).toEqual({ ...NO_TOKENS, input_text: 100, output_audio: 30 });
    expect(transcriptionUsage(usage)?.tokens).toEqual({ ...NO_TOKENS, input_text: 100, output_text: 30 });
    // What is in the sum and in no detail is thought, which is text.
    const partly = { ...usage, input_token_details: { audio_tokens: 40 }, output_token_details: { audio_tokens: 20 } };
    expect(responseUsage(partly)?.tokens).toEqual({
      ...NO_TOKENS,
      input_text: 60,
      input_audio: 40,
      output_text: 10,
      output_audio: 20,
    });
  });

  it('count transcription by its tokens, or by its time', () => {
    const tokens = { type: 'tokens', input_tokens: 30, output_tokens: 7, input_token_details: { audio_tokens: 30 } };
    expect(transcriptionUsage(tokens)).toEqual({
      tokens: { ...NO_TOKENS, input_audio: 30, output_text: 7 },
      seconds: 0,
    });
    expect(transcriptionUsage({ type: 'duration', seconds: 2.5 })).toEqual({ tokens: NO_TOKENS, seconds: 2.5 });
  });
});
