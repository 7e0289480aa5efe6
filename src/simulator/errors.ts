/**
 * A client event that the service refuses. Thrown anywhere below the dispatcher, which turns it into an `error` event
 * with the `event_id` of the client event; the socket stays open and nothing has changed.
 */
export class RequestError extends Error {
  readonly code: string | null;
  /** Path of the offending field (`session.audio.input.format.rate`), or null. */
  readonly param: string | null;

  constructor(code: string | null, message: string, param: string | null = null) {
    super(message);
    this.name = 'RequestError';
    this.code = code;
    this.param = param;
  }
}
