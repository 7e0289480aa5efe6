import type { TSchema } from 'typebox';
import type { Examples } from './examples.ts';
import { type ApiErrorCode, exampleSentence, FAILURES, type Failure } from './failures.ts';
import { ErrorAnswer } from './schemas.ts';

/** Error answers of a route, by status, as Fastify and the OpenAPI document take them. */
export function failures(...codes: ApiErrorCode[]): Record<number, TSchema> {
  const byStatus = Map.groupBy(codes, (code) => FAILURES[code].status);
  return Object.fromEntries([...byStatus].map(([status, group]) => [status, answerOf(group)]));
}

/** What every route that needs a key may answer. */
export const KEY_FAILURES = ['unauthorized', 'forbidden', 'invalid_field'] as const satisfies ApiErrorCode[];
/** What every route of one call may answer. */
export const CALL_FAILURES = [...KEY_FAILURES, 'session_not_found', 'ambiguous_call_id'] as const;

/** What every route that makes calls may answer beside. */
export const CREATE_FAILURES = [
  'agent_not_found',
  'tenant_full',
  'budget_exhausted',
  'upstream_refused',
  'gateway_full',
  'draining',
  'overloaded',
  'upstream_timeout',
] as const satisfies ApiErrorCode[];

function answerOf(codes: readonly ApiErrorCode[]): TSchema {
  const requestId = '0b0e7d5c-52a4-4b5e-8a59-2b7bb8b0a1f5';
  const examples: Examples = Object.fromEntries(
    codes.map((code) => {
      const { fields = {} }: Failure = FAILURES[code];
      return [code, { summary: summaryOf(code), value: { error: exampleSentence(code), code, requestId, ...fields } }];
    }),
  );
  const description = codes.map((code) => `\`${code}\`: ${summaryOf(code)}.`).join(' ');
  return { ...ErrorAnswer, description, 'x-examples': examples } as TSchema;
}

function summaryOf(code: ApiErrorCode): string {
  const { what } = FAILURES[code];
  return what.slice(0, 1).toUpperCase() + what.slice(1);
}
