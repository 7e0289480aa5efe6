import type { ServerResponse } from 'node:http';

/** How long a client waits before it comes again. */
const RETRY_MS = 2_000;

/** Server-sent events to one client. What a client does not read is for its writer to hold back: `isFull` says when. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #maxUnsentBytes: number;
  #isOver = false;

  /** Sends the head of the answer. @param maxUnsentBytes of events that the network has not taken yet */
  constructor(response: ServerResponse, requestId: string, maxUnsentBytes: number) {
    this.#response = response;
    this.#maxUnsentBytes = maxUnsentBytes;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies that hold answers back are told not to.
      'x-accel-buffering': 'no',
      'x-request-id': requestId,
    });
    response.once('close', () => {
      this.#isOver = true;
    });
    response.once('error', () => {});
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** The client is gone, or has been told the last. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the client leaves unread what it was sent. */
  get isFull(): boolean {
    return this.#response.writableLength > this.#maxUnsentBytes;
  }

  /** @param json the event's data: one line */
  send(name: string, json: string, id?: string): void {
    if (this.#isOver) return;
    this.#response.write(`event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${json}\n\n`);
  }

  /** Keeps the connection from looking idle. */
  beat(): void {
    if (!this.#isOver) this.#response.write(':\n\n');
  }

  /** Idempotent. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#response.end();
  }
}
