import type { RealtimeClientEvent, RealtimeServerEvent } from 'openai/resources/realtime/realtime';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { previousInReplay, replayEvents, toolOutput } from '../../src/realtime/replay.ts';
import type { ResponseOverrides } from '../../src/realtime/response-scheduler.ts';
import { parseServerEvent } from '../../src/realtime/server-events.ts';
import { interruptionUpdate, type RealtimeSettings, sessionUpdate } from '../../src/realtime/settings.ts';
import { tokenUsage } from '../../src/realtime/usage.ts';
import { validateEvent } from '../../src/simulator/event-schemas.ts';
import type { ReplayItem } from '../../src/upstream/conversation.ts';
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
    const zeros = { inputText: 0, inputAudio: 0, cachedText: 0, cachedAudio: 0, outputText: 0, outputAudio: 0 };
    expect(tokenUsage(null)).toBeUndefined();
    expect(tokenUsage({})).toEqual(zeros);
    expect(
      tokenUsage({
        input_token_details: {
          text_tokens: 14,
          audio_tokens: 27,
          cached_tokens_details: { text_tokens: 4, audio_tokens: 5 },
        },
        output_token_details: { text_tokens: 28, audio_tokens: 136 },
      }),
    ).toEqual({ inputText: 14, inputAudio: 27, cachedText: 4, cachedAudio: 5, outputText: 28, outputAudio: 136 });
  });

  it('are billed with zeros for what is no number of tokens', () => {
    let unusable = 0;
    const input = {
      text_tokens: -1,
      audio_tokens: 'x',
      cached_tokens_details: { text_tokens: [], audio_tokens: 1e300 },
    };
    const usage = { input_token_details: input, output_token_details: { text_tokens: Number.NaN, audio_tokens: 7 } };
    expect(tokenUsage(usage, () => unusable++)).toEqual({
      inputText: 0,
      inputAudio: 0,
      cachedText: 0,
      cachedAudio: 0,
      outputText: 0,
      outputAudio: 7,
    });
    expect(unusable).toBe(5);
    for (const none of ['x', 7]) expect(tokenUsage(none, () => unusable++)).toBeUndefined();
    expect(tokenUsage([], () => unusable++)).toMatchObject({ inputText: 0 });
  });

  it('count cached tokens without details, the text before the audio', () => {
    const cached = (count: number) =>
      tokenUsage({ input_token_details: { text_tokens: 100, audio_tokens: 50, cached_tokens: count } });
    expect(cached(64)).toMatchObject({ inputText: 100, cachedText: 64, cachedAudio: 0 });
    expect(cached(128)).toMatchObject({ cachedText: 100, cachedAudio: 28 });
    expect(cached(1_000)).toMatchObject({ cachedText: 100, cachedAudio: 50 });
  });
});
