import type { TSchema } from 'typebox';
import { API_ERRORS, type ApiErrorCode, type ApiErrorFields } from './errors.ts';
import { EXAMPLE_CALL_ID, type Examples } from './examples.ts';
import { ErrorAnswer } from './schemas.ts';

interface Failure {
  readonly summary: string;
  readonly error: string;
  readonly fields?: ApiErrorFields;
}

const CALL = `callId is "${EXAMPLE_CALL_ID}"`;

/** Every failure that is documented: when it comes, and a sentence as it may read. */
const FAILURES = {
  invalid_json: { summary: 'The body is not JSON', error: 'the body is not valid JSON' },
  invalid_field: {
    summary: 'A field is missing or has a value it cannot have',
    error: 'timeout is 60001, but must be a whole number from 0 to 60000',
  },
  invalid_audio: {
    summary: 'The audio cannot be used',
    error: 'audio has 3199 bytes, an odd number; PCM16 samples are two bytes each',
    fields: { status: 'invalid_audio' },
  },
  unauthorized: {
    summary: 'There is no key in the request',
    error: 'X-API-Key is missing: send it, or Authorization: Bearer KEY',
  },
  forbidden: { summary: 'The key is wrong, or of another tenant', error: 'the API key is not known here' },
  session_not_found: {
    summary: 'The gateway does not know the call, or it is over: hand it to your fallback',
    error: `${CALL}, but no session has this callId`,
    fields: { status: 'session_not_found', hasMore: false },
  },
  agent_not_found: {
    summary: 'There is no such agent profile',
    error: 'aiAgentRef is "sales", but there is no such agent profile',
  },
  call_not_found: {
    summary: 'No such call is in the history',
    error: `${CALL}, but no call of this name is in the history`,
  },
  ambiguous_call_id: {
    summary: "The operator's key sees several tenants' calls of this name",
    error: `${CALL}, which 2 tenants use: say which with X-Tenant-ID`,
  },
  body_too_large: { summary: 'The body is too large', error: 'the body is larger than 10 MB (10485760 bytes)' },
  unsupported_media_type: {
    summary: 'The body is of a type that is not read here',
    error: 'Content-Type is "text/plain", but must be application/json',
  },
  tenant_full: {
    summary: 'The tenant has all the calls it may have',
    error: 'this tenant has 20 calls already, its limit',
  },
  upstream_refused: { summary: 'The AI refused the session', error: 'the upstream refused the connection (401)' },
  gateway_full: {
    summary: 'The gateway has all the calls it may have',
    error: 'the gateway has 500 calls already, its limit',
  },
  draining: { summary: 'The gateway is shutting down', error: 'the gateway is shutting down: send the call elsewhere' },
  overloaded: {
    summary: 'The gateway has more to do than it can',
    error: 'the gateway is overloaded: its event loop is 250 ms behind',
  },
  upstream_busy: {
    summary: 'Too many chunks of this call wait: send the chunk again later',
    error: '100 chunks of this call wait for the upstream: send this one again later',
  },
  node_unreachable: {
    summary: 'The node that has the call does not answer: send the request again',
    error: `${CALL}, but the node that has the call does not answer`,
  },
  history_unavailable: {
    summary: 'The disk does not answer: ask again later',
    error: 'the history of calls cannot be read at the moment',
  },
  upstream_timeout: { summary: 'The AI was too slow', error: 'the AI was not ready within 10000 ms' },
} as const satisfies Partial<Record<ApiErrorCode, Failure>>;

type DocumentedCode = keyof typeof FAILURES;

/** Error answers of a route, by status, as Fastify and the OpenAPI document take them. */
export function failures(...codes: DocumentedCode[]): Record<number, TSchema> {
  const byStatus = new Map<number, DocumentedCode[]>();
  for (const code of codes) {
    const status = API_ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, group]) => [status, answerOf(group)]));
}

/** What every route that needs a key may answer. */
export const KEY_FAILURES = ['unauthorized', 'forbidden', 'invalid_field'] as const satisfies DocumentedCode[];
/** What every route of one call may answer. */
export const CALL_FAILURES = [...KEY_FAILURES, 'session_not_found', 'ambiguous_call_id'] as const;

/** What every route that makes calls may answer beside. */
export const CREATE_FAILURES = [
  'agent_not_found',
  'tenant_full',
  'upstream_refused',
  'gateway_full',
  'draining',
  'overloaded',
  'upstream_timeout',
] as const satisfies DocumentedCode[];

function answerOf(codes: DocumentedCode[]): TSchema {
  const examples: Examples = Object.fromEntries(
    codes.map((code) => {
      const { summary, error, fields = {} }: Failure = FAILURES[code];
      const requestId = '0b0e7d5c-52a4-4b5e-8a59-2b7bb8b0a1f5';
      return [code, { summary, value: { error, code, requestId, ...fields } }];
    }),
  );
  const description = codes.map((code) => `\`${code}\`: ${FAILURES[code].summary}.`).join(' ');
  return { ...ErrorAnswer, description, 'x-examples': examples } as TSchema;
}
