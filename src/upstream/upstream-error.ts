import type { UpstreamErrorClass } from './host.ts';

/** The HTTP answer to a handshake. */
export interface HandshakeAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** The beginning of its body. */
  readonly body: string;
}

/** The upstream could not be reached, refused the session, or ended it. */
export class UpstreamError extends Error {
  readonly class: UpstreamErrorClass;
  /** The upstream's own code (`session_expired`, `http_401`, `close_1006` …). */
  readonly code: string;
  /** What came with a refused handshake: for operators, since a server may repeat the key there. */
  readonly answer: HandshakeAnswer | undefined;

  constructor(
    errorClass: UpstreamErrorClass,
    code: string,
    message: string,
    options?: ErrorOptions & { answer?: HandshakeAnswer },
  ) {
    super(message, options);
    this.name = 'UpstreamError';
    this.class = errorClass;
    this.code = code;
    this.answer = options?.answer;
  }

  /** Whether connecting again may help. */
  get retryable(): boolean {
    return this.class !== 'refused';
  }

  /** Sorts the HTTP status that refused a WebSocket handshake: 429, 408 and 5xx may pass, other 4xx will not. */
  static fromHandshake(answer: HandshakeAnswer): UpstreamError {
    const { status } = answer;
    const message = `the upstream refused the connection with HTTP ${status}`;
    if (status === 429) return new UpstreamError('rate_limited', 'http_429', message, { answer });
    if (status >= 500 || status === 408) return new UpstreamError('unavailable', `http_${status}`, message, { answer });
    return new UpstreamError('refused', `http_${status}`, message, { answer });
  }
}
