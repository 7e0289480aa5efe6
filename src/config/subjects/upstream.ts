import { Type } from 'typebox';
import { subject } from '../subject.ts';

/** The AI that answers the calls. */
export const upstream = subject({
  title: 'The AI',
  variables: {
    OPENAI_API_KEY: Type.Optional(Type.String({ description: 'key for the OpenAI Realtime API' })),
    OPENAI_REALTIME_URL: Type.Optional(
      Type.String({
        pattern: '^wss?://.+',
        description:
          'Realtime server; `wss://api.openai.com/v1/realtime` when a key is set, the embedded simulator when neither is',
      }),
    ),
    OPENAI_REALTIME_MODEL: Type.String({
      default: 'gpt-realtime-2.1',
      description: 'model for agent profiles that name none',
    }),
    CALLER_HASH_KEY: Type.Optional(
      Type.String({
        minLength: 16,
        description:
          'key of the caller hash sent upstream as OpenAI-Safety-Identifier; default: derived from the API keys',
      }),
    ),
  },
  secrets: ['OPENAI_API_KEY', 'CALLER_HASH_KEY'],
  urls: ['OPENAI_REALTIME_URL'],
  mustBe: { OPENAI_REALTIME_URL: 'a ws:// or wss:// URL' },
});
