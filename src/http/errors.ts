import type { CallError, CallFailures } from '../call/errors.ts';
import { type ApiErrorCode, type ApiErrorFields, FAILURES, type Failure } from './failures.ts';

export interface ApiErrorOptions extends ErrorOptions {
  /** Default: what all failures of the code have. */
  readonly retryAfterSeconds?: number | undefined;
}

/** A failure the client is told about. Its message is the sentence the client reads, so it holds nothing internal. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly statusCode: number;
  readonly fields: ApiErrorFields;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ApiErrorCode, sentence: string, options: ApiErrorOptions = {}) {
    super(sentence, options);
    this.name = 'ApiError';
    this.code = code;
    const { status, fields = {}, retryAfterSeconds }: Failure = FAILURES[code];
    this.statusCode = status;
    this.fields = fields;
    this.retryAfterSeconds = options.retryAfterSeconds ?? retryAfterSeconds;
  }
}

/** What a client is told of a call's failure. */
export function sentenceOf({ code, details }: CallError): string {
  const { sentence } = FAILURES[code] as { readonly sentence: (details: CallFailures[typeof code]) => string };
  return sentence(details);
}

export function fromCallError(error: CallError): ApiError {
  const { code, cause, details } = error;
  const { retryAfterMs }: Failure = FAILURES[code];
  const retryAfterSeconds = retryAfterMs && Math.ceil(retryAfterMs(details as never) / 1000);
  return new ApiError(code, sentenceOf(error), { cause, retryAfterSeconds });
}
