import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AnswerParser } from './answer-parser.ts';

/** One buffer for everything that all sockets read: it is looked at before the next one reads. */
const READ_BUFFER = Buffer.alloc(65_536);
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

export interface ExchangeOptions {
  readonly origin: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Told how the exchange goes; after `onEnd` nothing more. */
export interface ExchangeListener {
  onHead(status: number): void;
  /** A part of the answer's body. Valid only during the call. */
  onBody(bytes: Uint8Array): void;
  /** @param code undefined: the answer came to its end; otherwise what broke it: `ECONNRESET`, `socket_closed`, … */
  onEnd(code: string | undefined): void;
}

/** A chunk of a body as it is written: it is made once, however often it is sent. */
export function chunkOf(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** One POST whose body and answer are streamed at the same time, on a connection of its own. */
export class StreamedExchange {
  readonly #socket: Socket;
  readonly #listener: ExchangeListener;
  #isOver = false;

  constructor({ origin, path, headers }: ExchangeOptions, listener: ExchangeListener) {
    this.#listener = listener;
    const parser = new AnswerParser({
      onHead: (status) => listener.onHead(status),
      onBody: (bytes) => listener.onBody(bytes),
      onEnd: () => this.#over(undefined),
    });
    const { protocol, hostname, port, host } = new URL(origin);
    const isTls = protocol === 'https:';
    const target = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (isTls ? 443 : 80) : Number(port),
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (length: number) => {
          try {
            parser.push(READ_BUFFER.subarray(0, length));
          } catch {
            this.#over('not_http');
          }
          return true;
        },
      },
    };
    this.#socket = isTls ? connectTls({ ...target, servername: target.host }) : connect(target);
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#over(error.code ?? 'failed'));
    this.#socket.on('close', () => {
      parser.closed();
      this.#over('socket_closed');
    });
    const lines = Object.entries({ host, ...headers, 'transfer-encoding': 'chunked' });
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
    );
  }

  /** Bytes that the other end has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** @param chunk as `chunkOf` makes it */
  write(chunk: Buffer): void {
    if (!this.#isOver) this.#socket.write(chunk);
  }

  /** The end of the body. */
  end(): void {
    this.write(LAST_CHUNK);
  }

  /** Breaks off. Idempotent. */
  close(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #over(code: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#listener.onEnd(code);
  }
}
