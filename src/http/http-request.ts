import { IncomingMessage } from 'node:http';

/** A request of our servers, whose body may be a call's audio. */
export class HttpRequest extends IncomingMessage {
  #onPiece: ((piece: Buffer) => void) | undefined;

  /** Its body lasts as long as a call: no time is set for it to arrive. */
  get isStreamed(): boolean {
    return this.#onPiece !== undefined;
  }

  /**
   * Gives `onPiece` the body as it arrives. A call's comes in 25 to 100 pieces a second, and a stream's bookkeeping for
   * each costs more than what is done with it: unless the request is paused, pieces do not pass through its buffer.
   */
  streamTo(onPiece: (piece: Buffer) => void): void {
    this.#onPiece = onPiece;
    this.on('data', onPiece);
  }

  /** What still comes is read and forgotten. It stays a streamed request. */
  forgetBody(): void {
    if (this.#onPiece === undefined) return;
    this.off('data', this.#onPiece);
    this.#onPiece = () => {};
    this.resume();
  }

  /** Called by Node's parser. What was buffered comes before what arrives. */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    if (piece === null || this.#onPiece === undefined || this.readableFlowing !== true || this.readableLength > 0) {
      return super.push(piece, encoding);
    }
    this.#onPiece(piece);
    return true;
  }
}

/**
 * A request of one of our servers, as such.
 * @throws {TypeError} when it came from elsewhere
 */
export function asHttpRequest(request: IncomingMessage): HttpRequest {
  if (request instanceof HttpRequest) return request;
  throw new TypeError('a request of another server has no body that can be streamed');
}
