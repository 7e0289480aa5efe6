import type {
  AudioTranscription,
  RealtimeAudioConfigInput,
  RealtimeAudioConfigOutput,
  RealtimeAudioFormats,
  RealtimeAudioInputTurnDetection,
  RealtimeSessionCreateRequest,
} from 'openai/resources/realtime/realtime';
import { RequestError } from './errors.ts';
import { asPublished, type OnTheWire } from './events.ts';
import { unsupportedValue } from './validate.ts';

export type ServerVad = Required<RealtimeAudioInputTurnDetection.ServerVad>;
export type SemanticVad = Required<RealtimeAudioInputTurnDetection.SemanticVad>;
export type TurnDetection = ServerVad | SemanticVad;

/** The session as `session.created` and `session.updated` echo it: always whole. */
export interface WireSession extends Omit<RealtimeSessionCreateRequest, 'audio' | 'include'> {
  object: 'realtime.session';
  id: string;
  model: string;
  instructions: string;
  output_modalities: ('text' | 'audio')[];
  tools: NonNullable<RealtimeSessionCreateRequest['tools']>;
  tool_choice: NonNullable<RealtimeSessionCreateRequest['tool_choice']>;
  max_output_tokens: number | 'inf';
  /** Unix seconds. */
  /** Unix seconds, unless a fault says otherwise. */
  expires_at: unknown;
  audio: {
    input: {
      format: RealtimeAudioFormats;
      transcription: OnTheWire<AudioTranscription> | null;
      noise_reduction: RealtimeAudioConfigInput.NoiseReduction | null;
      turn_detection: TurnDetection | null;
    };
    output: {
      format: RealtimeAudioFormats;
      voice: NonNullable<RealtimeAudioConfigOutput['voice']>;
      speed: number;
    };
  };
  include: RealtimeSessionCreateRequest['include'] | null;
}

/** `session` of a `session.update`, after it passed the schema. */
export type SessionPatch = Omit<Partial<WireSession>, 'audio' | 'type'> & {
  type: 'realtime' | 'transcription';
  audio?: {
    input?: Partial<Omit<WireSession['audio']['input'], 'turn_detection'>> & {
      turn_detection?: RealtimeAudioInputTurnDetection | null;
    };
    output?: Partial<WireSession['audio']['output']>;
  };
};

const DEFAULT_INSTRUCTIONS =
  "Your knowledge cutoff is 2024-06. You are a helpful, witty, and friendly AI. Act like a human, but remember that you aren't a human. Your voice and personality should be warm and engaging, with a lively and playful tone.";

/** Models of the second generation: reasoning, two output items in one response, a 500 ms silence window by default. */
export function isSecondGeneration(model: string): boolean {
  return /^gpt-realtime-2(\.|-|$)/.test(model) && !model.startsWith('gpt-realtime-2025');
}

function defaultServerVad(model: string): ServerVad {
  return {
    type: 'server_vad',
    threshold: 0.5,
    prefix_padding_ms: 300,
    silence_duration_ms: isSecondGeneration(model) ? 500 : 200,
    idle_timeout_ms: null,
    create_response: true,
    interrupt_response: true,
  };
}

const DEFAULT_SEMANTIC_VAD: SemanticVad = {
  type: 'semantic_vad',
  eagerness: 'auto',
  create_response: true,
  interrupt_response: true,
};

/** A session's configuration: the defaults of the model, changed by one partial update after another. */
export class Session {
  #wire: WireSession;

  constructor(id: string, model: string, expiresAtSeconds: unknown) {
    this.#wire = {
      type: 'realtime',
      object: 'realtime.session',
      id,
      model,
      output_modalities: ['audio'],
      instructions: DEFAULT_INSTRUCTIONS,
      tools: [],
      tool_choice: 'auto',
      max_output_tokens: 'inf',
      tracing: null,
      truncation: 'auto',
      prompt: null,
      expires_at: expiresAtSeconds,
      audio: {
        input: {
          format: { type: 'audio/pcm', rate: 24_000 },
          transcription: null,
          noise_reduction: null,
          turn_detection: defaultServerVad(model),
        },
        output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'alloy', speed: 1 },
      },
      include: null,
      ...(isSecondGeneration(model) && { reasoning: { effort: 'low' as const } }),
    };
  }

  /** The whole session as it is now. Never changed afterwards: an update makes a new object. */
  get wire(): WireSession {
    return this.#wire;
  }

  /** The session as the events' type has it. */
  get published(): RealtimeSessionCreateRequest {
    return asPublished<RealtimeSessionCreateRequest>(this.#wire as OnTheWire<RealtimeSessionCreateRequest>);
  }

  /**
   * Applies an update that passed the schema. Absent fields keep their value, `null`, `""` and `[]` clear.
   * @param hasAssistantAudio whether the conversation holds assistant audio, after which the voice is fixed
   * @throws RequestError when the update as a whole is refused; then nothing has changed
   */
  update(patch: SessionPatch, hasAssistantAudio: boolean): void {
    const old = this.#wire;
    if (patch.type === 'transcription') {
      const message = 'Passing a transcription session update event to a realtime session is not allowed.';
      throw new RequestError('invalid_value', message, 'session.type');
    }
    if (patch.model !== undefined && patch.model !== old.model) {
      throw new RequestError('invalid_value', 'The model of a session cannot be changed.', 'session.model');
    }
    if (patch.reasoning && !isSecondGeneration(old.model)) {
      const message = `Reasoning is not supported by the model '${old.model}'.`;
      throw new RequestError('invalid_value', message, 'session.reasoning');
    }
    if (patch.tracing !== undefined && old.tracing !== null && !isSame(patch.tracing, old.tracing)) {
      const message = 'Tracing cannot be changed once it is enabled for a session.';
      throw new RequestError('invalid_value', message, 'session.tracing');
    }
    const { audio, ...plain } = patch;
    this.#wire = {
      ...old,
      ...(plain as Partial<WireSession>),
      audio: {
        input: mergeInput(old, audio?.input),
        output: mergeOutput(old.audio.output, audio?.output, hasAssistantAudio),
      },
    };
  }
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

type Input = WireSession['audio']['input'];
type InputPatch = NonNullable<NonNullable<SessionPatch['audio']>['input']>;

function mergeInput(old: WireSession, patch: InputPatch | undefined): Input {
  if (!patch) return old.audio.input;
  const before = old.audio.input;
  const transcription =
    patch.transcription === undefined
      ? before.transcription
      : mergeTranscription(before.transcription, patch.transcription);
  return {
    format: patch.format ?? before.format,
    transcription,
    noise_reduction:
      patch.noise_reduction && before.noise_reduction
        ? { ...before.noise_reduction, ...patch.noise_reduction }
        : patch.noise_reduction === undefined
          ? before.noise_reduction
          : patch.noise_reduction,
    turn_detection:
      patch.turn_detection === undefined
        ? before.turn_detection
        : mergeTurnDetection(before.turn_detection, patch.turn_detection, old.model),
  };
}

/** Settings of the same kind of detection are kept; another kind starts from its defaults. */
function mergeTurnDetection(
  before: TurnDetection | null,
  patch: RealtimeAudioInputTurnDetection | null,
  model: string,
): TurnDetection | null {
  if (patch === null) return null;
  if (patch.type === 'server_vad') {
    return { ...(before?.type === 'server_vad' ? before : defaultServerVad(model)), ...patch };
  }
  return { ...(before?.type === 'semantic_vad' ? before : DEFAULT_SEMANTIC_VAD), ...patch };
}

const KEYWORD_MODELS = ['gpt-transcribe', 'gpt-live-transcribe'];

function mergeTranscription(before: Input['transcription'], patch: Input['transcription']): Input['transcription'] {
  if (patch === null) return null;
  const merged = { ...before, ...patch };
  const path = 'session.audio.input.transcription';
  const { model } = merged;
  if (model === undefined || model === null) {
    throw new RequestError(
      'missing_required_parameter',
      `Missing required parameter: '${path}.model'.`,
      `${path}.model`,
    );
  }
  const refuse = (field: string, unless: boolean) => {
    if (unless || merged[field as keyof typeof merged] == null) return;
    const message = `The transcription field '${field}' is not supported by the model '${model}'.`;
    throw new RequestError('invalid_parameter', message, `${path}.${field}`);
  };
  refuse('languages', KEYWORD_MODELS.includes(model));
  refuse('keywords', KEYWORD_MODELS.includes(model));
  refuse('delay', model === 'gpt-realtime-whisper');
  refuse('prompt', model !== 'gpt-realtime-whisper' && !model.endsWith('-diarize'));
  return merged;
}

type Output = WireSession['audio']['output'];

function mergeOutput(before: Output, patch: Partial<Output> | undefined, hasAssistantAudio: boolean): Output {
  if (patch?.voice !== undefined && hasAssistantAudio && !isSame(patch.voice, before.voice)) {
    const message = "Cannot update a conversation's voice if assistant audio is present.";
    throw new RequestError('cannot_update_voice', message, 'session.audio.output.voice');
  }
  return { ...before, ...patch };
}

/** The output modality of a request, when it names one that the service knows. */
export function modalityOf(modalities: readonly string[]): 'text' | 'audio' {
  const modality = modalities[0];
  if (modality !== 'text' && modality !== 'audio')
    throw unsupportedValue(modality, ['text', 'audio'], 'output_modalities');
  return modality;
}
