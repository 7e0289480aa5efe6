import { describe, expect, it } from 'vitest';
import { differences, isBetaSession } from '../../src/realtime/session-answer.ts';
import { sessionUpdate } from '../../src/realtime/settings.ts';
import { SETTINGS } from '../support/realtime.ts';

const { session: asked } = sessionUpdate({ ...SETTINGS, interruptedBy: 'server' }, 'e');

const detection = {
  type: 'server_vad',
  threshold: 0.5,
  prefix_padding_ms: 300,
  silence_duration_ms: 500,
  create_response: true,
  interrupt_response: true,
};

function answer(input: object = {}, output: object = {}) {
  const format = { type: 'audio/pcm', rate: 24_000 };
  return {
    audio: {
      input: { format, turn_detection: { ...detection, idle_timeout_ms: null }, ...input },
      output: { format, voice: 'marin', speed: 1, ...output },
    },
  };
}

describe('what a server confirms', () => {
  it.each([
    ['all of it', answer()],
    ['nothing of it', {}],
    ['no session at all', undefined],
    ['a rate left out', answer({ format: { type: 'audio/pcm' } })],
    ['a threshold that went through 32 bits', answer({ turn_detection: { ...detection, threshold: 0.50000001 } })],
    ['the voice as an object', answer({}, { voice: { id: 'marin' } })],
    ['in the shape of the beta', { input_audio_format: 'pcm16', output_audio_format: 'pcm16', voice: 'marin' }],
    ['at the top level', { voice: 'marin', turn_detection: detection }],
  ])('is as asked: %s', (_, said) => {
    expect(differences(asked, said)).toEqual([]);
  });

  it.each([
    [answer({ format: { type: 'audio/pcmu' } }), 'audio.input.format', 'audio/pcm', 'audio/pcmu'],
    [
      answer({}, { format: { type: 'audio/pcm', rate: 16_000 } }),
      'audio.output.format',
      'audio/pcm',
      'audio/pcm;rate=16000',
    ],
    [answer({}, { voice: 'alloy' }), 'audio.output.voice', 'marin', 'alloy'],
    [answer({ turn_detection: null }), 'audio.input.turn_detection', 'server_vad', 'off'],
    [answer({ turn_detection: { type: 'semantic_vad' } }), 'audio.input.turn_detection', 'server_vad', 'semantic_vad'],
    [
      answer({ turn_detection: { ...detection, silence_duration_ms: 200 } }),
      'audio.input.turn_detection.silence_duration_ms',
      '500',
      '200',
    ],
    [{ input_audio_format: 'g711_ulaw' }, 'audio.input.format', 'audio/pcm', 'audio/pcmu'],
  ])('is otherwise: %j', (said, field, wanted, got) => {
    expect(differences(asked, said)).toEqual([{ field, asked: wanted, said: got }]);
  });

  it('has the shape of the beta or not', () => {
    expect(isBetaSession({ modalities: ['audio'] })).toBe(true);
    expect(isBetaSession(answer())).toBe(false);
  });
});
