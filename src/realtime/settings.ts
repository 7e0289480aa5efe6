import type { RealtimeFunctionTool, SessionUpdateEvent } from 'openai/resources/realtime/realtime';

/** How a call's turns are found. Durations in milliseconds. */
export type TurnDetection =
  | {
      readonly type: 'server_vad';
      /** 0–1; higher needs louder speech. */
      readonly threshold: number;
      readonly prefixPaddingMs: number;
      /** Silence that ends a turn: the largest part of the answering time. */
      readonly silenceDurationMs: number;
    }
  | { readonly type: 'semantic_vad'; readonly eagerness: 'low' | 'medium' | 'high' | 'auto' };

/** The encodings the Realtime API speaks; PCM is 24 kHz, G.711 8 kHz. */
export type UpstreamAudioType = 'audio/pcm' | 'audio/pcmu' | 'audio/pcma';

/** Everything a call configures upstream. */
export interface RealtimeSettings {
  readonly model: string;
  readonly instructions: string;
  readonly voice: string;
  /** 0.25–1.5. */
  readonly speed: number;
  readonly audioType: UpstreamAudioType;
  readonly turnDetection: TurnDetection;
  /**
   * Who interrupts. `server`: the server cancels its reply as soon as it hears speech. `gateway`: the server only
   * reports speech, and the gateway decides.
   */
  readonly interruptedBy: 'server' | 'gateway';
  readonly noiseReduction: 'near_field' | 'far_field' | null;
  /** null: the caller's words are not transcribed. */
  readonly transcriptionModel: string | null;
  /** ISO 639-1; absent: found by the model. */
  readonly language?: string | undefined;
  readonly maxOutputTokens: number;
  readonly tools: readonly RealtimeFunctionTool[];
}

/**
 * The `session.update` that makes a session of these settings. Turn detection is always whole, because the defaults
 * differ from model to model.
 */
export function sessionUpdate(settings: RealtimeSettings, eventId: string): SessionUpdateEvent {
  const format =
    settings.audioType === 'audio/pcm'
      ? { type: 'audio/pcm' as const, rate: 24_000 as const }
      : { type: settings.audioType };
  return {
    type: 'session.update',
    event_id: eventId,
    session: {
      type: 'realtime',
      instructions: settings.instructions,
      output_modalities: ['audio'],
      audio: {
        input: {
          format,
          // Clearing by null is the wire's way; the published types know only the set form.
          noise_reduction: (settings.noiseReduction ? { type: settings.noiseReduction } : null) as never,
          transcription: (settings.transcriptionModel
            ? { model: settings.transcriptionModel, ...(settings.language ? { language: settings.language } : {}) }
            : null) as never,
          turn_detection: turnDetection(settings),
        },
        output: { format, voice: settings.voice, speed: settings.speed },
      },
      tools: [...settings.tools],
      tool_choice: 'auto',
      max_output_tokens: settings.maxOutputTokens,
    },
  };
}

/** The `session.update` that changes who interrupts, and nothing else. */
export function interruptionUpdate(settings: RealtimeSettings, eventId: string): SessionUpdateEvent {
  return {
    type: 'session.update',
    event_id: eventId,
    session: { type: 'realtime', audio: { input: { turn_detection: turnDetection(settings) } } },
  };
}

function turnDetection({ turnDetection: detection, interruptedBy }: RealtimeSettings) {
  const byServer = interruptedBy === 'server';
  const responses = { create_response: byServer, interrupt_response: byServer };
  return detection.type === 'semantic_vad'
    ? { type: 'semantic_vad' as const, eagerness: detection.eagerness, ...responses }
    : {
        type: 'server_vad' as const,
        threshold: detection.threshold,
        prefix_padding_ms: detection.prefixPaddingMs,
        silence_duration_ms: detection.silenceDurationMs,
        ...responses,
      };
}
