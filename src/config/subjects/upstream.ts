import { Type } from 'typebox';
import { subject } from '../subject.ts';

/** The AI that answers the calls. */
export const upstream = subject({
  title: 'The AI',
  variables: {
    OPENAI_API_KEY: Type.Optional(Type.String({ description: 'key for the OpenAI Realtime API' })),
    OPENAI_API_KEY_FILE: Type.Optional(
      Type.String({
        description: 'file with the key, or with a token that is renewed there; read anew for each connection',
      }),
    ),
    OPENAI_AUTH: Type.Union(
      ['bearer', 'api-key', 'none'].map((scheme) => Type.Literal(scheme)),
      {
        default: 'bearer',
        description: 'how the key is sent: `bearer` (`Authorization`), `api-key` (a header of Azure), or `none`',
      },
    ),
    OPENAI_HEADERS_FILE: Type.Optional(
      Type.String({
        description: 'JSON object of headers for the Realtime server, over all others; read anew for each connection',
      }),
    ),
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
  problems(env) {
    const problems: string[] = [];
    if (env.OPENAI_API_KEY !== undefined && env.OPENAI_API_KEY_FILE !== undefined) {
      problems.push('OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set: one of them is enough');
    }
    const hasKey = env.OPENAI_API_KEY !== undefined || env.OPENAI_API_KEY_FILE !== undefined;
    if (env.OPENAI_AUTH === 'api-key' && !hasKey) {
      problems.push('OPENAI_AUTH is "api-key", but neither OPENAI_API_KEY nor OPENAI_API_KEY_FILE is set');
    }
    if (env.OPENAI_AUTH === 'api-key' && env.OPENAI_REALTIME_URL === undefined) {
      problems.push('OPENAI_AUTH is "api-key", which is for Azure, but OPENAI_REALTIME_URL is not set');
    }
    return problems;
  },
});
