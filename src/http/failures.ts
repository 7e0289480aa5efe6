import type { CallErrorCode, CallFailures } from '../call/errors.ts';
import { EXAMPLE_CALL_ID } from './examples.ts';
import { quote } from './quote.ts';

/** Fields an error answer carries beside `error`, `code` and `requestId`. */
export interface ApiErrorFields {
  /** The status word the published API defines for this failure. */
  readonly status?: string;
  readonly hasMore?: false;
}

/** All there is to say of one code, here and nowhere else: the OpenAPI document and the API page take it from here. */
export interface Failure {
  readonly status: number;
  /** What has happened. */
  readonly what: string;
  /** What a client does about it. */
  readonly advice?: string;
  readonly fields?: ApiErrorFields;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** The same, where it depends. */
  readonly retryAfterMs?: (details: never) => number;
  /** A sentence as the routes say it, or what `sentence` makes one of. */
  readonly example: string | object;
  readonly sentence?: (details: never) => string;
}

/** One that calls know too: what they say of it becomes a sentence here. */
interface CallFailure<Code extends CallErrorCode> extends Failure {
  readonly sentence: (details: CallFailures[Code]) => string;
  readonly example: CallFailures[Code] | string;
}

const TRY_ELSEWHERE = 'try another gateway, `Retry-After`, or fallback. Running calls go on';
const DO_NOT_REPEAT = 'the sentence says which. Do not repeat it';

/** Every error an answer can carry. Codes are stable; sentences may change. */
export const FAILURES = {
  session_not_found: {
    status: 404,
    what: 'the gateway does not know the call, or no longer',
    advice: 'hand it to the fallback',
    fields: { status: 'session_not_found', hasMore: false },
    sentence: ({ callId, why }) => `callId is ${quote(callId)}, but ${why}`,
    example: { callId: EXAMPLE_CALL_ID, why: 'no session has this callId' },
  },
  agent_not_found: {
    status: 404,
    what: 'no such agent profile',
    advice: 'a mistake in the configuration; fallback',
    sentence: ({ aiAgentRef }) => `aiAgentRef is ${quote(aiAgentRef)}, but there is no such agent profile`,
    example: { aiAgentRef: 'sales' },
  },
  call_not_found: {
    status: 404,
    what: 'no call of this name is in the history',
    advice: 'its time is up, it goes on still, or it belongs to another tenant',
    example: `callId is "${EXAMPLE_CALL_ID}", but no call of this name is in the history`,
  },
  recording_not_found: {
    status: 404,
    what: 'there is no recording of this call',
    advice: 'its agent records none, its time is up, it goes on still, or it belongs to another tenant',
    example: `callId is "${EXAMPLE_CALL_ID}", but there is no recording of this call`,
  },
  not_found: { status: 404, what: 'no such address', advice: 'check the URL', example: 'there is no "/x"; see /docs' },
  method_not_allowed: {
    status: 405,
    what: 'the address takes another method',
    advice: '`create`, `stream` and `end` are POST',
    example: 'the method is GET, but "/api/voice/session/create" takes POST; see /docs',
  },
  invalid_json: {
    status: 400,
    what: 'the body is not JSON, or is too deep',
    advice:
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the dialplan
      'how it was quoted is the usual suspect. In a dialplan, `content-type application/json post {&quot;callId&quot;:&quot;${uuid}&quot;}`',
    example: 'the body is not valid JSON',
  },
  bad_request: {
    status: 400,
    what: 'the request is not HTTP, or has not exactly one `Host`',
    example: 'the Host header is missing',
  },
  invalid_field: {
    status: 400,
    what: 'a field is missing or has a value it cannot have',
    advice: DO_NOT_REPEAT,
    sentence: ({ field, value, rule }) => `${field} is ${value === undefined ? 'missing' : quote(value)}, but ${rule}`,
    example: 'X-Tenant-ID is "a b", but must be text that matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
  },
  invalid_audio: {
    status: 400,
    what: 'the audio is not what the call was created with',
    advice: 'its `chunkSeq` is used up, go on with the next',
    fields: { status: 'invalid_audio' },
    sentence: ({ why }) => why,
    example: { why: 'audio has 3199 bytes, an odd number; PCM16 samples are two bytes each' },
  },
  unauthorized: {
    status: 401,
    what: 'no key was sent',
    example: 'X-API-Key is missing: send it, or Authorization: Bearer KEY',
  },
  forbidden: {
    status: 403,
    what: 'the key is wrong, belongs to another tenant, or may not do this',
    sentence: ({ tenantId }) => `tenantId is ${quote(tenantId)}, but the request speaks for another tenant`,
    example: 'the API key is not known here',
  },
  foreign_origin: {
    status: 403,
    what: 'the request comes from a page of another site',
    example: 'Origin is "https://example.org", but pages of other sites may not call here',
  },
  request_timeout: {
    status: 408,
    what: 'the request took too long to arrive',
    advice: 'the network',
    example: 'the request did not arrive in time',
  },
  ambiguous_call_id: {
    status: 409,
    what: 'several tenants have this call',
    advice: 'send `X-Tenant-ID`',
    sentence: ({ callId, tenantCount }) =>
      `callId is ${quote(callId)}, which ${tenantCount} tenants use: say which with X-Tenant-ID`,
    example: { callId: EXAMPLE_CALL_ID, tenantCount: 2 },
  },
  body_too_large: {
    status: 413,
    what: 'more than 10 MB of audio, or than 64 kB of anything else',
    example: 'the body is larger than 10 MB (10485760 bytes)',
  },
  unsupported_media_type: {
    status: 415,
    what: 'a `Content-Type` the gateway does not take',
    advice: '`mod_curl` and `curl -d` say `application/x-www-form-urlencoded` unless told otherwise',
    example: 'Content-Type is "text/plain", but must be application/json',
  },
  misdirected: {
    status: 421,
    what: 'without a key, `Host` must be a name of this machine',
    advice: 'use `127.0.0.1`, or set a key',
    example: 'Host is "example.org", but without a key the gateway answers to 127.0.0.1, localhost and [::1] only',
  },
  headers_too_large: {
    status: 431,
    what: 'more headers than the gateway reads',
    example: 'the request line and headers are larger than 16 kB',
  },
  tenant_full: {
    status: 429,
    what: 'the tenant has all the calls it may have',
    advice: '`Retry-After`, or fallback',
    retryAfterSeconds: 5,
    sentence: ({ maxSessions }) => `this tenant has ${maxSessions} calls already, its limit`,
    example: { maxSessions: 20 },
  },
  too_many_listeners: {
    status: 429,
    what: 'the key, or the gateway, has all the streams of events that it may have',
    advice: 'close one',
    retryAfterSeconds: 5,
    example: 'this key has 20 streams of events open already, its limit',
  },
  too_many_attempts: {
    status: 429,
    what: 'too many wrong keys came from this address',
    advice: 'sign in after `Retry-After`',
    example: 'too many wrong keys came from this address: try again in 8 s',
  },
  budget_exhausted: {
    status: 429,
    what: 'the tenant has spent what its calls may cost today',
    advice: 'fallback, until 00:00 UTC',
    retryAfterMs: ({ waitMs }: CallFailures['budget_exhausted']) => waitMs,
    sentence: ({ spent, budget, currency }) =>
      `this tenant has spent ${spent.toFixed(2)} of its ${budget} ${currency} for today: calls are taken again from 00:00 UTC`,
    example: { spent: 25.01, budget: 25, currency: 'USD', waitMs: 3_600_000 },
  },
  gateway_full: {
    status: 503,
    what: 'the gateway has all the calls it may have',
    advice: TRY_ELSEWHERE,
    retryAfterSeconds: 5,
    sentence: ({ maxSessions }) => `the gateway has ${maxSessions} calls already, its limit`,
    example: { maxSessions: 500 },
  },
  draining: {
    status: 503,
    what: 'the gateway is shutting down',
    advice: TRY_ELSEWHERE,
    retryAfterSeconds: 5,
    sentence: () => 'the gateway is shutting down: send the call elsewhere',
    example: {},
  },
  overloaded: {
    status: 503,
    what: 'the gateway has more to do than it can',
    advice: TRY_ELSEWHERE,
    retryAfterSeconds: 2,
    sentence: ({ why }) => why,
    example: { why: 'the gateway is overloaded: it uses 5000 MB of memory, its limit is 4096' },
  },
  upstream_busy: {
    status: 503,
    what: "this call's audio piles up",
    advice: 'send the same chunk, with the same number, a second later',
    retryAfterSeconds: 1,
    sentence: ({ chunkCount }) => `${chunkCount} chunks of this call wait for the upstream: send this one again later`,
    example: { chunkCount: 100 },
  },
  node_unreachable: {
    status: 503,
    what: 'several nodes are one gateway, and the one that has the call does not answer',
    advice: 'send the same request again, to another node where you know one',
    retryAfterSeconds: 1,
    example: `callId is "${EXAMPLE_CALL_ID}", but the node that has the call does not answer`,
  },
  history_unavailable: {
    status: 503,
    what: 'the disk does not answer; calls go on',
    advice: 'ask again later',
    retryAfterSeconds: 5,
    example: 'the history of calls cannot be read at the moment',
  },
  upstream_refused: {
    status: 502,
    what: 'the AI said no (key, model, quota)',
    advice: 'fallback, and look at the log',
    sentence: ({ why }) => why,
    example: { why: 'the upstream refused the connection with HTTP 401' },
  },
  upstream_timeout: {
    status: 504,
    what: 'the AI was too slow',
    advice: 'try once more, or fallback',
    retryAfterSeconds: 1,
    sentence: ({ why }) => why,
    example: { why: 'the AI was not ready within 10000 ms' },
  },
  internal: {
    status: 500,
    what: 'a defect',
    advice: 'the log has it under the `requestId`',
    sentence: ({ why }) => why,
    example: { why: 'the session could not be opened; the log has the reason' },
  },
} as const satisfies { readonly [Code in CallErrorCode]: CallFailure<Code> } & Readonly<Record<string, Failure>>;

export type ApiErrorCode = keyof typeof FAILURES;

/** A sentence as a client may read it. */
export function exampleSentence(code: ApiErrorCode): string {
  const { example, sentence }: Failure = FAILURES[code];
  return typeof example === 'string' ? example : sentence!(example as never);
}
