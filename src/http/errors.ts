/** Every error an answer can carry, with its status. Codes are stable; sentences may change. */
export const API_ERRORS = {
  bad_request: 400,
  invalid_json: 400,
  invalid_field: 400,
  invalid_audio: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  session_not_found: 404,
  agent_not_found: 404,
  call_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  ambiguous_call_id: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  tenant_full: 429,
  headers_too_large: 431,
  internal: 500,
  upstream_refused: 502,
  gateway_full: 503,
  draining: 503,
  overloaded: 503,
  upstream_busy: 503,
  history_unavailable: 503,
  upstream_timeout: 504,
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

/** Fields an error answer carries beside `error`, `code` and `requestId`. */
export interface ApiErrorFields {
  /** The status word the published API defines for this failure. */
  readonly status?: string;
  readonly hasMore?: false;
}

export interface ApiErrorOptions extends ErrorOptions {
  readonly fields?: ApiErrorFields;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
}

/** A failure the client is told about. Its message is the sentence the client reads, so it holds nothing internal. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly statusCode: number;
  readonly fields: ApiErrorFields;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ApiErrorCode, message: string, options: ApiErrorOptions = {}) {
    super(message, options);
    this.name = 'ApiError';
    this.code = code;
    this.statusCode = API_ERRORS[code];
    this.fields = options.fields ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The gateway does not know the call: the switch is to hand it to its fallback. */
export function sessionNotFound(callId: string, why = 'no session has this callId'): ApiError {
  return new ApiError('session_not_found', `callId is ${quote(callId)}, but ${why}`, {
    fields: { status: 'session_not_found', hasMore: false },
  });
}

/** The audio of a chunk cannot be used. `message` says what is wrong with which value. */
export function invalidAudio(message: string, cause?: unknown): ApiError {
  return new ApiError('invalid_audio', message, { fields: { status: 'invalid_audio' }, cause });
}

/** A value as an error sentence shows it: quoted, and cut where it is long. */
export function quote(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}…` : shown;
}
