import { Client, Pool } from 'undici';
import type { Overlap } from './protocol.ts';

/** Connections of a lane whose requests overlap, and requests on one that is pipelined. */
const MAX_BESIDE = 16;

/** An answer, read whole. */
export interface LaneAnswer {
  readonly status: number;
  readonly body: string;
}

/** A request that got no answer. `code` is stable: `ECONNRESET`, `timeout`, … */
export class LaneError extends Error {
  readonly code: string;
  constructor(code: string, cause: unknown) {
    super(`no answer: ${code}`, { cause });
    this.code = code;
  }
}

export interface LaneOptions {
  readonly origin: string;
  /** Reuse the connection; otherwise each request opens one, as mod_curl's do. */
  readonly keepAlive: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest wait for an answer beyond what the request itself asks to wait. */
  readonly timeoutMs: number;
  /** Requests do not wait for each other; default: they do. */
  readonly overlap?: Overlap;
  /** A connection that was to be kept was closed by the other side. */
  readonly onClosed?: () => void;
}

/** How undici and the system say that a connection was closed by the other side. */
const CLOSED_BY_THE_OTHER: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * One connection that carries one request at a time, or what overlapping requests need: a call has a lane for its chunks and one for its polls. Works on
 * undici's dispatcher, below its streams and promises, because what the generator spends a request is what it cannot
 * spend on more calls.
 */
export class HttpLane {
  readonly #client: Client | Pool;
  #isClosing = false;
  readonly #options: LaneOptions;
  readonly #postHeaders: string[];
  readonly #getHeaders: string[];

  constructor(options: LaneOptions) {
    this.#options = options;
    const { origin, overlap = 'no', keepAlive, timeoutMs } = options;
    const connection = { keepAliveTimeout: 60_000, connectTimeout: timeoutMs };
    const pipelining = !keepAlive ? 0 : overlap === 'pipelined' ? MAX_BESIDE : 1;
    this.#client =
      overlap === 'connections'
        ? new Pool(origin, { ...connection, pipelining, connections: MAX_BESIDE })
        : new Client(origin, { ...connection, pipelining });
    this.#client.on('disconnect', (_origin, _targets, error: Error & { code?: string }) => {
      // Those that nobody used for long, and those whose answer is too late, are closed on this side.
      if (keepAlive && !this.#isClosing && CLOSED_BY_THE_OTHER.has(error.code ?? '')) options.onClosed?.();
    });
    this.#getHeaders = Object.entries(options.headers).flat();
    this.#postHeaders = [...this.#getHeaders, 'content-type', 'application/json'];
  }

  /**
   * @param body JSON; absent: none
   * @throws {LaneError}
   */
  post(path: string, body?: Buffer): Promise<LaneAnswer> {
    return this.#request('POST', path, body === undefined ? this.#getHeaders : this.#postHeaders, body, 0);
  }

  /**
   * Sends a chunk as it is.
   * @throws {LaneError}
   */
  postRaw(path: string, body: Buffer, contentType: string, chunkSeq: number): Promise<LaneAnswer> {
    const headers = [...this.#getHeaders, 'content-type', contentType, 'x-chunk-seq', String(chunkSeq)];
    return this.#request('POST', path, headers, body, 0);
  }

  /**
   * @param waitMs how long the gateway may hold the answer back
   * @throws {LaneError}
   */
  get(path: string, waitMs = 0): Promise<LaneAnswer> {
    return this.#request('GET', path, this.#getHeaders, undefined, waitMs);
  }

  /** Drops what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (!this.#client.destroyed) await this.#client.destroy();
  }

  #request(
    method: 'GET' | 'POST',
    path: string,
    headers: string[],
    body: Buffer | undefined,
    waitMs: number,
  ): Promise<LaneAnswer> {
    const timeoutMs = this.#options.timeoutMs + waitMs;
    return new Promise((resolve, reject) => {
      let status = 0;
      let first: Buffer | undefined;
      let more: Buffer[] | undefined;
      this.#client.dispatch(
        {
          method,
          path,
          // A chunk has its number, so that it may be sent before the ones before it are answered.
          idempotent: this.#options.overlap === 'pipelined',
          headers,
          body: body ?? null,
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
          reset: !this.#options.keepAlive,
        },
        {
          onRequestStart() {},
          onResponseStart(_controller, statusCode) {
            status = statusCode;
          },
          onResponseData(_controller, chunk) {
            if (first === undefined) first = chunk;
            else if (more === undefined) more = [first, chunk];
            else more.push(chunk);
          },
          onResponseEnd() {
            const whole = more ? Buffer.concat(more) : first;
            resolve({ status, body: whole?.toString('utf8') ?? '' });
          },
          onResponseError(_controller, error) {
            reject(new LaneError(codeOf(error), error));
          },
        },
      );
    });
  }
}

function codeOf(error: Error & { code?: string }): string {
  switch (error.code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return 'timeout';
    case 'UND_ERR_SOCKET':
      return 'socket_closed';
    default:
      return error.code ?? error.name;
  }
}
