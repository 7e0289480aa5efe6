import { type Static, Type } from 'typebox';
import {
  DEFAULT_TRANSCRIPTION_MODEL,
  isWithoutReasoning,
  refusesTranscriptionOption,
  type TranscriptionOption,
} from '../../upstream/models.ts';
import { PROTOCOL_NAMES } from '../../upstream/protocol.ts';

const NoiseReductionType = [Type.Literal('near_field'), Type.Literal('far_field')] as const;
const MAX_SESSION_BYTES = 16 * 1024;

const LanguageSchema = Type.String({
  pattern: '^[a-z]{2,3}$',
  description: 'ISO 639 code the caller is transcribed in',
});

/** The fields of a profile that are the upstream's own settings. */
export const upstreamFields = {
  upstream: Type.Optional(
    Type.Union(
      PROTOCOL_NAMES.map((name) => Type.Literal(name)),
      { description: 'The protocol of the AI; default: the one that the model is known to speak' },
    ),
  ),
  model: Type.Optional(Type.String({ minLength: 1, description: 'Default OPENAI_REALTIME_MODEL' })),
  voice: Type.Optional(
    Type.Union(
      [
        Type.String({ minLength: 1 }),
        Type.Object(
          { id: Type.String({ minLength: 1, description: 'A custom voice' }) },
          { additionalProperties: false },
        ),
      ],
      { description: 'Default marin' },
    ),
  ),
  speed: Type.Optional(Type.Number({ minimum: 0.25, maximum: 1.5 })),
  transcription: Type.Optional(
    Type.Union(
      [
        Type.Object(
          {
            model: Type.Optional(Type.String({ minLength: 1, description: `Default ${DEFAULT_TRANSCRIPTION_MODEL}` })),
            language: Type.Optional(LanguageSchema),
            prompt: Type.Optional(Type.String({ minLength: 1, description: 'What the words will be about' })),
            keywords: Type.Optional(
              Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description: 'Names and terms to expect' }),
            ),
            delay: Type.Optional(
              Type.Union([
                Type.Literal('minimal'),
                Type.Literal('low'),
                Type.Literal('medium'),
                Type.Literal('high'),
                Type.Literal('xhigh'),
              ]),
            ),
          },
          { additionalProperties: false },
        ),
        Type.Null(),
      ],
      { description: 'null: no transcripts of the caller' },
    ),
  ),
  language: Type.Optional(LanguageSchema),
  transcriptionModel: Type.Optional(
    Type.Union([Type.String({ minLength: 1 }), Type.Null()], { description: 'Older name of transcription.model' }),
  ),
  noiseReduction: Type.Optional(
    Type.Union(
      [
        ...NoiseReductionType,
        Type.Null(),
        Type.Object(
          {
            type: Type.Union([...NoiseReductionType]),
            strength: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Default 1' })),
          },
          { additionalProperties: false },
        ),
      ],
      { description: 'Default near_field' },
    ),
  ),
  maxOutputTokens: Type.Optional(
    Type.Union([Type.Integer({ minimum: 1, maximum: 32_000 }), Type.Literal('inf')], { description: 'Default 4096' }),
  ),
  reasoning: Type.Optional(
    Type.Object(
      {
        effort: Type.Union([
          Type.Literal('minimal'),
          Type.Literal('low'),
          Type.Literal('medium'),
          Type.Literal('high'),
          Type.Literal('xhigh'),
        ]),
      },
      { additionalProperties: false, description: 'Models of the second generation only' },
    ),
  ),
  truncation: Type.Optional(
    Type.Union(
      [
        Type.Literal('auto'),
        Type.Literal('disabled'),
        Type.Object(
          {
            retentionRatio: Type.Number({ minimum: 0, maximum: 1 }),
            postInstructionsTokens: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          },
          { additionalProperties: false },
        ),
      ],
      { description: 'What happens to a conversation that grows too long; default: the upstream decides' },
    ),
  ),
  toolChoice: Type.Optional(
    Type.Union(
      [
        Type.Literal('auto'),
        Type.Literal('none'),
        Type.Literal('required'),
        Type.Object(
          { type: Type.Literal('function'), name: Type.String({ minLength: 1 }) },
          { additionalProperties: false },
        ),
      ],
      { description: 'Default auto' },
    ),
  ),
  parallelToolCalls: Type.Optional(Type.Boolean({ description: 'Models of the second generation only' })),
  session: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description: "Laid over the session's settings as they are sent, for what this list does not have",
    }),
  ),
};

const UpstreamFieldsSchema = Type.Object(upstreamFields);
export type UpstreamFields = Static<typeof UpstreamFieldsSchema>;

/** How a caller is transcribed; null: not at all. The older fields count where `transcription` says nothing. */
export function transcriptionOf(profile: UpstreamFields) {
  const { transcription, transcriptionModel, language } = profile;
  if (transcription === null || (transcription === undefined && transcriptionModel === null)) return null;
  return {
    model: transcriptionModel ?? DEFAULT_TRANSCRIPTION_MODEL,
    ...(language === undefined ? {} : { language }),
    ...transcription,
  };
}

/** What is wrong with these fields together, in a sentence; undefined when nothing is. */
export function upstreamProblem(profile: UpstreamFields): string | undefined {
  if (profile.transcription !== undefined && profile.transcriptionModel !== undefined) {
    return 'transcription and transcriptionModel say the same: leave transcriptionModel out';
  }
  return (
    transcriptionProblem(profile) ??
    sessionProblem(profile.session) ??
    (profile.model === undefined ? undefined : modelProblem(profile, profile.model))
  );
}

/** What of these fields a model refuses, in a sentence; undefined when nothing is known to be. */
export function modelProblem({ reasoning, parallelToolCalls }: UpstreamFields, model: string): string | undefined {
  if (!isWithoutReasoning(model)) return undefined;
  if (reasoning !== undefined) return `reasoning is not for the model ${model}, which has none`;
  return parallelToolCalls === undefined ? undefined : `parallelToolCalls is not for the model ${model}`;
}

function transcriptionProblem(profile: UpstreamFields): string | undefined {
  const transcription = transcriptionOf(profile);
  if (transcription === null) return undefined;
  const { model } = transcription;
  const options: readonly TranscriptionOption[] = ['prompt', 'keywords', 'delay'];
  const refused = options.find((name) => transcription[name] !== undefined && refusesTranscriptionOption(model, name));
  return refused === undefined ? undefined : `transcription.${refused} is not for the model ${model}`;
}

/** Fields that the gateway lives by, as paths in the upstream's session: a profile's own fields set some of them. */
const NOT_PASSED_ON = [
  'type',
  'model',
  'instructions',
  'output_modalities',
  'tools',
  'tool_choice',
  'audio.input.format',
  'audio.input.turn_detection',
  'audio.input.transcription',
  'audio.output.format',
];

function sessionProblem(session: UpstreamFields['session']): string | undefined {
  if (session === undefined) return undefined;
  const taken = NOT_PASSED_ON.find((path) => valueAt(session, path.split('.')) !== undefined);
  if (taken !== undefined) return `session.${taken} is the gateway's own: it cannot be set there`;
  for (const path of ['audio', 'audio.input', 'audio.output']) {
    const value = valueAt(session, path.split('.'));
    if (value !== undefined && !isObject(value)) return `session.${path} must be object`;
  }
  return Buffer.byteLength(JSON.stringify(session)) > MAX_SESSION_BYTES
    ? `session must not be longer than ${MAX_SESSION_BYTES} bytes`
    : undefined;
}

function valueAt(value: unknown, [name, ...rest]: readonly string[]): unknown {
  if (name === undefined) return value;
  return isObject(value) && Object.hasOwn(value, name)
    ? valueAt((value as Record<string, unknown>)[name], rest)
    : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
