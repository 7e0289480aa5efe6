import type { UpstreamErrorClass } from './host.ts';

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
