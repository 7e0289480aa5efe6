import { Type } from 'typebox';
import { AGENT_REF_PATTERN, TENANT_ID_PATTERN } from '../../http/schemas.ts';
import { subject } from '../subject.ts';

/** Agent profiles, and the backend that has more of them and wants the summaries of calls. */
export const agents = subject({
  title: 'Agents and the W3 backend',
  variables: {
    W3_API_URL: Type.Optional(
      Type.String({ pattern: '^https?://.+', description: 'W3 backend: agent profiles and call summaries' }),
    ),
    W3_API_KEY: Type.Optional(Type.String({ description: "key for the W3 backend; default: the gateway's own key" })),
    AGENTS_DIR: Type.String({ default: './agents', description: 'folder of agent profiles, `<aiAgentRef>.json`' }),
    DEFAULT_TENANT_ID: Type.String({
      pattern: TENANT_ID_PATTERN,
      default: 'default',
      description: 'tenant of calls that name none',
    }),
    DEFAULT_AGENT_REF: Type.String({
      pattern: AGENT_REF_PATTERN,
      default: 'customer-care-voice',
      description: 'agent profile of calls that name none',
    }),
  },
  secrets: ['W3_API_KEY'],
  urls: ['W3_API_URL'],
  mustBe: {
    W3_API_URL: 'an http:// or https:// URL',
    DEFAULT_TENANT_ID: `text that matches ${TENANT_ID_PATTERN}`,
    DEFAULT_AGENT_REF: `text that matches ${AGENT_REF_PATTERN}`,
  },
});
