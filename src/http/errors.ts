import type { CallError, CallFailures } from '../call/errors.ts';
import { type ApiErrorCode, type ApiErrorFields, FAILURES, type Failure } from './failures.ts';

/** A failure the client is told about. Its message is the sentence the client reads, so it holds nothing internal. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly statusCode: number;
  readonly fields: ApiErrorFields;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ApiErrorCode, sentence: string, options: ErrorOptions = {}) {
    super(sentence, options);
    this.name = 'ApiError';
    this.code = code;
    const { status, fields = {}, retryAfterSeconds }: Failure = FAILURES[code];
    this.statusCode = status;
    this.fields = fields;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What a client is told of a call's failure. */
export function sentenceOf({ code, details }: CallError): string {
  const { sentence } = FAILURES[code] as { readonly sentence: (details: CallFailures[typeof code]) => string };
  return sentence(details);
}

export function fromCallError(error: CallError): ApiError {
  return new ApiError(error.code, sentenceOf(error), { cause: error.cause });
}
