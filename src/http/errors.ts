/** Every error an answer can carry, with its status. Codes are stable; sentences may change. */
export const API_ERRORS = {
  bad_request: 400,
  invalid_json: 400,
  invalid_field: 400,
  invalid_audio: 400,
  unauthorized: 401,
  forbidden: 403,
  foreign_origin: 403,
  not_found: 404,
  session_not_found: 404,
  agent_not_found: 404,
  call_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  ambiguous_call_id: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  misdirected: 421,
  tenant_full: 429,
  headers_too_large: 431,
  internal: 500,
  upstream_refused: 502,
  gateway_full: 503,
  draining: 503,
  overloaded: 503,
  upstream_busy: 503,
  history_unavailable: 503,
  node_unreachable: 503,
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

const MAX_QUOTE_LENGTH = 80;

/** A value as an error sentence shows it: quoted, and cut where it is long. What is cut away is never written out. */
export function quote(value: unknown): string {
  const shown = write(value, MAX_QUOTE_LENGTH + 1);
  return shown.length > MAX_QUOTE_LENGTH ? `${shown.slice(0, MAX_QUOTE_LENGTH - 3)}…` : shown;
}

/** The JSON of a value, or where that is longer, at least its first `room` characters. */
function write(value: unknown, room: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  const isList = Array.isArray(value);
  let text = isList ? '[' : '{';
  for (const name in value) {
    if (text.length > 1) text += ',';
    if (!isList) text += `${write(name, room - text.length)}:`;
    // Each level takes a character at least, so no value is too deep.
    if (text.length >= room) return text;
    text += write((value as Record<string, unknown>)[name], room - text.length);
    if (text.length >= room) return text;
  }
  return text + (isList ? ']' : '}');
}
