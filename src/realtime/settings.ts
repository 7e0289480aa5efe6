import type { RealtimeSessionCreateRequest, SessionUpdateEvent } from 'openai/resources/realtime/realtime';
import type { ConversationSettings, Truncation } from '../upstream/settings.ts';

/** What a session of the Realtime API is configured with. */
export interface RealtimeSettings extends ConversationSettings {
  /**
   * Who interrupts. `server`: the server cancels its reply as soon as it hears speech. `gateway`: the server only
   * reports speech, and the gateway decides.
   */
  readonly interruptedBy: 'server' | 'gateway';
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
    tools: settings.tools.map((tool) => ({ type: 'function', ...tool })),
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
