import type { CallError, CallFailures } from '../call/errors.ts';
import { type ApiErrorCode, type ApiErrorFields, FAILURES, type Failure } from './failures.ts';

/** A failure the client is told about. Its message is the sentence the client reads, so it holds nothing internal. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly statusCode: number;
  readonly fields: ApiErrorFields;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  /** @param details what is known of it, where something of the answer follows from that */
  constructor(code: ApiErrorCode, sentence: string, options: ErrorOptions = {}, details?: object) {
    super(sentence, options);
    this.name = 'ApiError';
    this.code = code;
    const { status, fields = {}, retryAfterSeconds }: Failure = FAILURES[code];
    this.statusCode = status;
    this.fields = fields;
    this.retryAfterSeconds =
      typeof retryAfterSeconds === 'function' ? retryAfterSeconds(details as never) : retryAfterSeconds;
  }
}

/** What a client is told of a call's failure. */
export function sentenceOf({ code, details }: CallError): string {
  const { sentence } = FAILURES[code] as { readonly sentence: (details: CallFailures[typeof code]) => string };
  return sentence(details);
}

export function fromCallError(error: CallError): ApiError {
  return new ApiError(error.code, sentenceOf(error), { cause: error.cause }, error.details);
}
