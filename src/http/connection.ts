import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { HttpRequest } from './http-request.ts';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Most requests of a connection that are worked on at once: a chunk every 100 ms beside a poll of six seconds. */
const MAX_IN_FLIGHT = 64;
/** With more answers than this unread, the next request waits. */
const MAX_UNREAD_BYTES = 1_048_576;
/** With more requests waiting, the connection is closed: no client that means well sends so many before it reads. */
const MAX_HELD = 64;
/** Waiting requests that are let in at once; then everybody else has a turn. */
const MAX_LET_IN = 16;

/**
 * The requests of one connection. They may overlap, but each that is worked on holds memory until its client has read
 * the answer: further ones wait, and meanwhile nothing more is read.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #handle: RequestHandler;
  readonly #answers: ServerResponse[] = [];
  readonly #held: [IncomingMessage, ServerResponse][] = [];
  #isLettingIn = false;
  #quietTicks = 0;
  #stuckTicks = 0;
  #progress = '';
  /** The last request that was begun: only its body can still be arriving. */
  #latest: IncomingMessage | undefined;
  #bodyTicks = 0;

  constructor(socket: Socket, handle: RequestHandler) {
    this.#socket = socket;
    this.#handle = handle;
    // Node goes on reading whenever an answer has been written.
    socket.on('resume', () => {
      if (this.#held.length > 0) socket.pause();
    });
  }

  /** Requests that are worked on, or whose answers have not been taken by the network. */
  get inFlight(): number {
    return this.#answers.length;
  }

  /** Ticks since it last had a request. */
  get quietTicks(): number {
    return this.#quietTicks;
  }

  /** Ticks since the client last read anything of an answer that waits for it. */
  get stuckTicks(): number {
    return this.#stuckTicks;
  }

  /** Ticks that a body has been arriving, of which it is expected that it ends. */
  get bodyTicks(): number {
    return this.#bodyTicks;
  }

  /** Takes a request on, or lets it wait. */
  take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#socket.destroyed) return;
    this.#quietTicks = 0;
    if (this.#held.length === 0 && this.#hasRoom) this.#begin(request, response);
    else if (this.#held.length === MAX_HELD) this.close();
    else {
      this.#held.push([request, response]);
      this.#socket.pause();
    }
  }

  /** Looks at how it gets on. Called at even intervals. */
  tick(): void {
    this.#quietTicks = this.inFlight > 0 ? 0 : this.#quietTicks + 1;
    const progress = this.#socket.writableLength > 0 ? progressOf(this.#socket) : '';
    this.#stuckTicks = progress !== '' && progress === this.#progress ? this.#stuckTicks + 1 : 0;
    this.#progress = progress;
    const latest = this.#latest;
    const isArriving =
      latest && !latest.complete && this.#held.length === 0 && !(latest instanceof HttpRequest && latest.isStreamed);
    this.#bodyTicks = isArriving ? this.#bodyTicks + 1 : 0;
  }

  close(): void {
    this.#held.length = 0;
    this.#socket.destroy();
    // Node parses all that a read has brought, thousands of requests maybe. Where the next one is taken for an upgrade
    // (2), it stops there.
    const { parser } = this.#socket as HttpSocket;
    if (parser) parser.onIncoming = () => 2;
  }

  get #hasRoom(): boolean {
    const { length } = this.#answers;
    if (length === 0) return true;
    if (length >= MAX_IN_FLIGHT) return false;
    let unread = 0;
    for (const answer of this.#answers) unread += answer.writableLength;
    return unread < MAX_UNREAD_BYTES;
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    this.#answers.push(response);
    this.#latest = request;
    this.#bodyTicks = 0;
    response.on('close', () => this.#onAnswered(response));
    this.#handle(request, response);
  }

  #onAnswered(response: ServerResponse): void {
    const at = this.#answers.indexOf(response);
    if (at >= 0) this.#answers.splice(at, 1);
    if (this.#held.length === 0 || this.#isLettingIn) return;
    this.#isLettingIn = true;
    setImmediate(() => this.#letIn());
  }

  #letIn(): void {
    this.#isLettingIn = false;
    if (this.#socket.destroyed) this.#held.length = 0;
    for (let count = 0; count < MAX_LET_IN && this.#held.length > 0 && this.#hasRoom; count++) {
      this.#begin(...this.#held.shift()!);
    }
    // Without an answer under way nobody would call again.
    if (this.#held.length > 0 && this.inFlight === 0) setImmediate(() => this.#letIn());
    if (this.#held.length === 0) this.#socket.resume();
  }
}

/** What Node keeps at a socket, unknown to its types. */
interface HttpSocket extends Socket {
  readonly parser?: { onIncoming: () => number } | null;
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** Changes when the network takes any part of what waits to be sent. */
function progressOf(socket: Socket): string {
  const { bytesWritten, writableLength, _handle: handle } = socket as HttpSocket;
  return `${bytesWritten} ${writableLength} ${handle?.writeQueueSize}`;
}
