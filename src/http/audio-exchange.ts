import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AudioFormat, bytesPerMs, codecOf } from '../audio/codec.ts';
import type { AudioReceiver, DownStreamRequest } from '../call/duplex/down-stream.ts';
import type { AudioSender, UpStreamRequest } from '../call/duplex/up-stream.ts';
import type { CallSession } from './gateway.ts';
import { asHttpRequest, type HttpRequest } from './http-request.ts';

/** What came up on one connection. */
export interface Received {
  readonly bytes: number;
  readonly audioMs: number;
}

/** How long a client may go on sending after its answer has ended. */
const LINGER_MS = 2_000;

/**
 * One HTTP exchange that lasts as long as a call: its body is the caller's audio, its answer the agent's, or one of them.
 * A connection that breaks ends nothing but itself.
 */
export class AudioExchange implements AudioReceiver, AudioSender {
  readonly #request: HttpRequest;
  readonly #response: ServerResponse;
  #maxUnsentBytes = 0;
  #chunkBytes = 0;
  #chunkHead: Uint8Array = new Uint8Array(0);
  #stopReceiving: (() => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = asHttpRequest(request);
    this.#response = response;
  }

  /**
   * Passes the body on to the call until it ends or breaks, or another one takes its place.
   * @param endsCall the end of the body is the caller's hanging up
   * @throws {ApiError} `session_not_found`
   */
  receive(call: CallSession, wanted: UpStreamRequest, endsCall: boolean): Promise<Received> {
    const request = this.#request;
    const stream = call.openUp(wanted, this);
    const { promise, resolve } = Promise.withResolvers<Received>();
    let bytes = 0;
    const onData = (data: Buffer) => {
      bytes += data.length;
      stream.receive(data);
    };
    const stop = () => {
      this.#stopReceiving = undefined;
      request.forgetBody();
      call.left(stream);
      resolve({ bytes, audioMs: Math.round(stream.totalMs) });
    };
    this.#stopReceiving = stop;
    request.streamTo(onData);
    request.once('end', () => {
      if (!this.#stopReceiving) return;
      stop();
      if (endsCall) call.end().catch(() => {});
    });
    // Of an aborted body no end is told.
    request.once('close', () => this.#stopReceiving?.());
    request.once('error', () => {});
    return promise;
  }

  /**
   * Sends the head of the answer, and the call's audio from now on.
   * @throws {ApiError} `session_not_found`; nothing has been sent then
   */
  play(call: CallSession, wanted: DownStreamRequest, headers: Readonly<Record<string, string>>): void {
    const response = this.#response;
    this.#maxUnsentBytes = wanted.leadMs * bytesPerMs(wanted.format);
    const stream = call.openDown(wanted, this);
    response.writeHead(200, {
      'content-type': mediaTypeOf(wanted.format),
      'x-lead-ms': String(wanted.leadMs),
      'cache-control': 'no-store',
      // Proxies that hold answers back are told not to.
      'x-accel-buffering': 'no',
      ...headers,
    });
    response.flushHeaders();
    response.once('close', () => call.left(stream));
    response.once('error', () => {});
  }

  // What the call asks of its receiver

  get isFull(): boolean {
    return this.#response.writableLength > this.#maxUnsentBytes;
  }

  write(bytes: Uint8Array): void {
    const response = this.#response;
    const { socket } = response;
    // A chunk that goes out whole is one piece for the network; Node makes four of it.
    if (socket && response.chunkedEncoding) socket.write(this.#chunk(bytes));
    else response.write(bytes);
  }

  /** Bytes in the chunked transfer coding (RFC 9112, section 7.1). */
  #chunk(bytes: Uint8Array): Uint8Array {
    if (bytes.length !== this.#chunkBytes) {
      this.#chunkBytes = bytes.length;
      this.#chunkHead = Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1');
    }
    const head = this.#chunkHead;
    const chunk = Buffer.allocUnsafe(head.length + bytes.length + 2);
    chunk.set(head);
    chunk.set(bytes, head.length);
    chunk[chunk.length - 2] = 0x0d;
    chunk[chunk.length - 1] = 0x0a;
    return chunk;
  }

  end(): void {
    this.#stopReceiving?.();
    this.#response.end();
    if (this.#request.complete) return;
    // Closed at once, the connection would be reset, and the client might not see the end of its answer.
    setTimeout(() => this.#request.destroy(), LINGER_MS).unref();
  }

  giveUp(): void {
    this.#response.destroy();
  }

  // What the call asks of its sender

  pause(): void {
    this.#request.pause();
  }

  resume(): void {
    this.#request.resume();
  }

  cutOff(): void {
    this.#request.destroy();
  }

  replaced(): void {
    this.#stopReceiving?.();
  }
}

/** The media type of bare samples, as `Content-Type` names it. */
export function mediaTypeOf({ encoding, sampleRateHz }: AudioFormat): string {
  const { mediaType, sampleRatesHz } = codecOf(encoding);
  return sampleRatesHz.length === 1 ? mediaType : `${mediaType};rate=${sampleRateHz}`;
}
