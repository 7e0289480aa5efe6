import type { ClientEvent } from './events.ts';

/** Server events whose names the beta of the API had otherwise. */
const BETA_NAMES: Readonly<Record<string, string>> = {
  'response.output_audio.delta': 'response.audio.delta',
  'response.output_audio.done': 'response.audio.done',
  'response.output_audio_transcript.delta': 'response.audio_transcript.delta',
  'response.output_audio_transcript.done': 'response.audio_transcript.done',
  'response.output_text.delta': 'response.text.delta',
  'response.output_text.done': 'response.text.done',
  'conversation.item.added': 'conversation.item.created',
};

const BETA_FORMATS: Readonly<Record<string, object>> = {
  pcm16: { type: 'audio/pcm', rate: 24_000 },
  g711_ulaw: { type: 'audio/pcmu' },
  g711_alaw: { type: 'audio/pcma' },
};

/** What the beta calls a server event; undefined: it has none. */
export function betaNameOf(type: string): string | undefined {
  return type === 'conversation.item.done' ? undefined : (BETA_NAMES[type] ?? type);
}

/**
 * A client event of the beta as that of today which does the same: a `session.update` has its audio settings apart.
 * `temperature` is gone, and left out.
 */
export function fromBeta(event: ClientEvent): ClientEvent {
  const { session } = event;
  if (event.type !== 'session.update' || typeof session !== 'object' || session === null) return event;
  const {
    modalities,
    input_audio_format: inputFormat,
    output_audio_format: outputFormat,
    input_audio_transcription: transcription,
    turn_detection: turnDetection,
    max_response_output_tokens: maxOutputTokens,
    voice,
    speed,
    temperature: _,
    ...rest
  } = session as Record<string, unknown>;
  const isSpoken = !Array.isArray(modalities) || modalities.includes('audio');
  return {
    ...event,
    session: {
      type: 'realtime',
      ...rest,
      ...present({ max_output_tokens: maxOutputTokens }),
      ...(modalities === undefined ? {} : { output_modalities: [isSpoken ? 'audio' : 'text'] }),
      audio: {
        input: present({ format: formatOf(inputFormat), transcription, turn_detection: turnDetection }),
        output: present({ format: formatOf(outputFormat), voice, speed }),
      },
    },
  };
}

function formatOf(name: unknown): unknown {
  return typeof name === 'string' ? (BETA_FORMATS[name] ?? name) : name;
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
