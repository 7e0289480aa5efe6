import type {
  AudioTranscription,
  RealtimeFunctionTool,
  RealtimeReasoningEffort,
  RealtimeSessionCreateRequest,
  SessionUpdateEvent,
} from 'openai/resources/realtime/realtime';

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

/** How the caller's words are found. What a model does not understand, the server refuses. */
export interface Transcription {
  readonly model: string;
  /** ISO 639; absent: found by the model. */
  readonly language?: string;
  readonly prompt?: string;
  readonly keywords?: readonly string[];
  readonly delay?: NonNullable<AudioTranscription['delay']>;
}

export interface NoiseReduction {
  readonly type: 'near_field' | 'far_field';
  /** 0–1. */
  readonly strength?: number;
}

/** What the server does with a conversation that outgrows the model. */
export type Truncation =
  | 'auto'
  | 'disabled'
  | {
      /** How much of it is kept, 0–1. */
      readonly retentionRatio: number;
      /** Most tokens behind the instructions. */
      readonly postInstructionsTokens?: number;
    };

/** Everything a call configures upstream. */
export interface RealtimeSettings {
  readonly model: string;
  readonly instructions: string;
  readonly voice: string | { readonly id: string };
  /** 0.25–1.5. */
  readonly speed: number;
  readonly audioType: UpstreamAudioType;
  readonly turnDetection: TurnDetection;
  /**
   * Who interrupts. `server`: the server cancels its reply as soon as it hears speech. `gateway`: the server only
   * reports speech, and the gateway decides.
   */
  readonly interruptedBy: 'server' | 'gateway';
  readonly noiseReduction: NoiseReduction | null;
  /** null: the caller's words are not transcribed. */
  readonly transcription: Transcription | null;
  readonly maxOutputTokens: number | 'inf';
  /** Absent: as the model has it. So are the next two. */
  readonly reasoningEffort?: RealtimeReasoningEffort | undefined;
  readonly truncation?: Truncation | undefined;
  readonly parallelToolCalls?: boolean | undefined;
  readonly toolChoice: 'auto' | 'none' | 'required' | { readonly type: 'function'; readonly name: string };
  readonly tools: readonly RealtimeFunctionTool[];
  /** Laid over the session as it is sent. */
  readonly more?: Readonly<Record<string, unknown>> | undefined;
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
  const { reasoningEffort, truncation, parallelToolCalls, more = {} } = settings;
  const session = {
    type: 'realtime',
    instructions: settings.instructions,
    output_modalities: ['audio'],
    audio: {
      input: {
        format,
        noise_reduction: settings.noiseReduction,
        transcription: settings.transcription,
        turn_detection: turnDetection(settings),
      },
      output: { format, voice: settings.voice, speed: settings.speed },
    },
    tools: settings.tools,
    tool_choice: settings.toolChoice,
    max_output_tokens: settings.maxOutputTokens,
    ...(reasoningEffort === undefined ? {} : { reasoning: { effort: reasoningEffort } }),
    ...(truncation === undefined ? {} : { truncation: truncationOnTheWire(truncation) }),
    ...(parallelToolCalls === undefined ? {} : { parallel_tool_calls: parallelToolCalls }),
  };
  // The published types have no null for what is off, which is the wire's way.
  return { type: 'session.update', event_id: eventId, session: overlaid(session, more) as never };
}

/** The `session.update` that changes who interrupts, and nothing else. */
export function interruptionUpdate(settings: RealtimeSettings, eventId: string): SessionUpdateEvent {
  return {
    type: 'session.update',
    event_id: eventId,
    session: { type: 'realtime', audio: { input: { turn_detection: turnDetection(settings) } } },
  };
}

function truncationOnTheWire(truncation: Truncation): RealtimeSessionCreateRequest['truncation'] {
  if (typeof truncation === 'string') return truncation;
  const { retentionRatio, postInstructionsTokens } = truncation;
  return {
    type: 'retention_ratio',
    retention_ratio: retentionRatio,
    ...(postInstructionsTokens === undefined ? {} : { token_limits: { post_instructions: postInstructionsTokens } }),
  };
}

/** `more` laid over `base`: objects field by field, everything else as it is there. */
function overlaid(base: object, more: object): object {
  const both = Object.entries(more).map(([name, value]) => {
    const below = Object.hasOwn(base, name) ? (base as Record<string, unknown>)[name] : undefined;
    return [name, isObject(below) && isObject(value) ? overlaid(below, value) : value];
  });
  return { ...base, ...Object.fromEntries(both) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
