/**
 * Why the upstream failed, as the gateway reacts to it.
 * - `refused`: it will say no again (key, model, request)
 * - `rate_limited`, `unavailable`, `timeout`: another try may succeed
 * - `protocol`: it said something that ends this session
 */
export type UpstreamErrorClass = 'refused' | 'rate_limited' | 'unavailable' | 'timeout' | 'protocol';

/** The upstream could not be reached, refused the session, or ended it. */
export class UpstreamError extends Error {
  readonly class: UpstreamErrorClass;
  /** The upstream's own code (`session_expired`, `http_401`, `close_1006` …). */
  readonly code: string;

  constructor(errorClass: UpstreamErrorClass, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UpstreamError';
    this.class = errorClass;
    this.code = code;
  }

  /** Whether connecting again may help. */
  get retryable(): boolean {
    return this.class !== 'refused';
  }

  /** Sorts the HTTP status that refused a WebSocket handshake: 429, 408 and 5xx may pass, other 4xx will not. */
  static fromHandshake(status: number): UpstreamError {
    const message = `the upstream refused the connection with HTTP ${status}`;
    if (status === 429) return new UpstreamError('rate_limited', 'http_429', message);
    if (status >= 500 || status === 408) return new UpstreamError('unavailable', `http_${status}`, message);
    return new UpstreamError('refused', `http_${status}`, message);
  }
}

/** What an `error` event means for the call. */
export type ServerErrorVerdict = 'benign' | 'retryable' | 'fatal';

const BENIGN_CODES = new Set([
  // A cancel raced the server's own; a truncate came a moment late; both leave the conversation as it should be.
  'response_cancel_not_active',
  'item_not_found',
  'item_truncate_invalid_item_id',
  'input_audio_buffer_commit_empty',
]);
const FATAL_CODES = new Set(['beta_api_shape_disabled', 'invalid_api_key', 'insufficient_quota']);
const RETRYABLE_CODES = new Set([
  'session_expired',
  'rate_limit_exceeded',
  'inference_rate_limit_exceeded',
  'server_error',
  'conversation_already_has_active_response',
]);

/** Sorts an `error` event by its code. Unknown codes are benign: the server closes the socket when it means to end. */
export function classifyServerError(code: string | null | undefined): ServerErrorVerdict {
  if (code == null || BENIGN_CODES.has(code)) return 'benign';
  if (FATAL_CODES.has(code)) return 'fatal';
  return RETRYABLE_CODES.has(code) ? 'retryable' : 'benign';
}
