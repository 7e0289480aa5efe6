import { type Static, Type } from 'typebox';
import { NO_TOKENS, TOKEN_TYPES } from '../upstream/usage.ts';
import type { Examples } from './examples.ts';
import { moment } from './moment.ts';
import { oneOf } from './one-of.ts';

/** What calls used and cost, as answers and summaries tell it. */

const KINDS = TOKEN_TYPES.map((type) => `\`${type}\``).join(', ');

export const Tokens = Type.Record(Type.String(), Type.Integer(), {
  description: `By kind, each token counted once: ${KINDS}`,
});

const seconds = Type.Number({ description: 'Of audio, where the model is billed by it' });

const ModelUsage = Type.Object(
  {
    model: Type.String({ description: "The conversation's model, or that of the transcription" }),
    tokens: Tokens,
    seconds,
    cost: Type.Optional(Type.Number({ description: 'Absent: the list of prices does not have the model' })),
  },
  { description: 'What one model was used for' },
);

export const audioSeconds = Type.Object(
  {
    up: Type.Number({ description: 'Taken from the client' }),
    down: Type.Number({ description: 'Known to have arrived at the client' }),
  },
  { description: 'Seconds of audio' },
);

export const usageFields = {
  model: Type.String({ description: 'Model of the conversation' }),
  tokens: Tokens,
  audioSeconds,
  models: Type.Array(ModelUsage, { description: 'The same model by model, transcription included' }),
  cost: Type.Optional(
    Type.Number({ description: 'By the list of prices; absent where that does not have a model that was used' }),
  ),
  currency: Type.String({ description: 'Of `cost`, as ISO 4217 has it' }),
};

export const CallUsage = Type.Object(usageFields, { description: 'What the call used and cost' });

/** Tokens of a short call. */
export const EXAMPLE_TOKENS = {
  input_text: 269,
  input_audio: 707,
  input_image: 0,
  cached_text: 941,
  cached_audio: 2581,
  cached_image: 0,
  output_text: 147,
  output_audio: 783,
};

export const EXAMPLE_USAGE = {
  model: 'gpt-realtime-2.1',
  tokens: EXAMPLE_TOKENS,
  audioSeconds: { up: 56.5, down: 39.2 },
  models: [
    { model: 'gpt-realtime-2.1', tokens: EXAMPLE_TOKENS, seconds: 0, cost: 0.078749 },
    { model: 'gpt-transcribe', tokens: NO_TOKENS, seconds: 24, cost: 0.0018 },
  ],
  cost: 0.080549,
  currency: 'USD',
};

export const UsageQuery = Type.Object({
  from: moment('Calls that began then or later, a whole quarter of an hour; default: today, UTC'),
  to: moment('Calls that began before that, a whole quarter of an hour; default: now'),
  by: Type.Optional(oneOf(['tenant', 'agent', 'model', 'day'], { description: 'A row for each; days are UTC' })),
});

const sums = {
  calls: Type.Integer({ description: 'A call counts with the model of its conversation' }),
  durationSeconds: Type.Number({ description: 'From creation to end' }),
  audioSeconds,
  tokens: Tokens,
  seconds,
  cost: Type.Number({ description: 'By the list of prices as it was when each call was held' }),
  unpriced: Type.Integer({ description: 'Tokens and seconds of models that had no price: `cost` is without them' }),
};

const SUMS = {
  calls: 50,
  durationSeconds: 2830.4,
  audioSeconds: { up: 2815, down: 1960 },
  tokens: EXAMPLE_TOKENS,
  seconds: 1200,
  cost: 4.02745,
  unpriced: 0,
};

const USAGE_EXAMPLES: Examples = {
  byModel: {
    summary: 'A month by model',
    value: {
      from: '2026-11-01T00:00:00.000Z',
      to: '2026-12-01T00:00:00.000Z',
      currency: 'USD',
      by: 'model',
      rows: [
        { name: 'gpt-realtime-2.1', ...SUMS, seconds: 0, cost: 3.93745 },
        {
          name: 'gpt-transcribe',
          calls: 0,
          durationSeconds: 0,
          audioSeconds: { up: 0, down: 0 },
          tokens: NO_TOKENS,
          seconds: 1200,
          cost: 0.09,
          unpriced: 0,
        },
      ],
      total: SUMS,
    },
  },
};

export const UsageAnswer = Type.Object(
  {
    from: Type.String({ format: 'date-time', description: 'Calls that began then or later' }),
    to: Type.String({ format: 'date-time', description: 'Calls that began before that' }),
    currency: Type.String({ description: 'Of the list of prices' }),
    by: Type.Optional(UsageQuery.properties.by),
    rows: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.String({ description: 'Of the tenant, agent, model or day' }), ...sums },
          { description: 'A sum' },
        ),
        { description: 'With `by` only, in the order of their names' },
      ),
    ),
    total: Type.Object(sums, { description: 'The sum of everything' }),
  },
  { description: 'What calls used and cost', 'x-examples': USAGE_EXAMPLES },
);
export type UsageAnswer = Static<typeof UsageAnswer>;
