import { Agent, type Dispatcher, errors, request } from 'undici';
import { ACCEPT_ENCODING, ContentCodingError, type DecodedBody, decodeBody } from './content-coding.ts';

/** Longest wait for a TCP and TLS connection. */
const CONNECT_TIMEOUT_MS = 2_000;
const REPLACEMENT = '\uFFFD';

/**
 * - `timeout`: no whole answer in time
 * - `aborted`: the caller's signal
 * - `invalid`: the request could not be made of what it was given, and never will be
 * - `network`: everything else: refused, reset, unknown host, TLS
 */
export type ExchangeFailureKind = 'timeout' | 'aborted' | 'invalid' | 'network';

/** There was no HTTP answer. `code` is undici's or the system's own, such as `ECONNREFUSED`. */
export class ExchangeError extends Error {
  readonly kind: ExchangeFailureKind;
  readonly code: string;

  constructor(kind: ExchangeFailureKind, code: string, options?: ErrorOptions) {
    super(`no answer: ${code}`, options);
    this.name = 'ExchangeError';
    this.kind = kind;
    this.code = code;
  }
}

export interface ExchangeOptions {
  readonly url: string | URL;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers: Record<string, string>;
  readonly body?: string | undefined;
  /** For everything: connecting, waiting in a queue, headers and body. */
  readonly timeoutMs: number;
  /** More of the answer than this is not read, and no more than this is decoded of a compressed one. */
  readonly maxBodyBytes: number;
  readonly dispatcher: Dispatcher;
  readonly signal?: AbortSignal | undefined;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body, decoded, as UTF-8, cut at `maxBodyBytes`. */
  readonly text: string;
  readonly isTruncated: boolean;
  /** Why the body cannot be read, in which case `text` is empty. Status and headers are good all the same. */
  readonly unreadable?: string;
}

/** Connections for `exchange`, kept open between requests. */
export function createAgent(connections?: number): Agent {
  return new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    // One request a connection at a time, so that `connections` bounds what a server sees.
    allowH2: false,
    ...(connections === undefined ? {} : { connections }),
  });
}

/**
 * One HTTP request and its whole answer, whatever its status. Redirects are answers like any other. Compressed answers
 * are asked for and decoded.
 * @throws {ExchangeError} when there is no answer
 */
export async function exchange(options: ExchangeOptions): Promise<ExchangeAnswer> {
  const { timeoutMs, signal } = options;
  const stop = new AbortController();
  const settled = Promise.withResolvers<never>();
  const fail = (kind: ExchangeFailureKind, cause?: unknown) => {
    const error = new ExchangeError(kind, kind === 'timeout' ? 'ETIMEDOUT' : 'EABORTED', { cause });
    settled.reject(error);
    stop.abort(error);
  };
  const timer = setTimeout(() => fail('timeout'), timeoutMs);
  const onAbort = () => fail('aborted', signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  // undici heeds a signal only once a request has a connection: waiting for one is cut short here.
  const work = perform(options, stop.signal);
  try {
    return await Promise.race([settled.promise, work]);
  } catch (error) {
    work.catch(() => {});
    throw toExchangeError(error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function perform(options: ExchangeOptions, signal: AbortSignal): Promise<ExchangeAnswer> {
  signal.throwIfAborted();
  const { url, method, body, maxBodyBytes, dispatcher } = options;
  const headers = { 'accept-encoding': ACCEPT_ENCODING, ...options.headers };
  const answer = await request(url, { method, headers, body: body ?? null, dispatcher, signal });
  const received = await receive(answer.body as AsyncIterable<Buffer>, maxBodyBytes);
  const { statusCode: status, headers: answerHeaders } = answer;
  try {
    const { bytes, isTruncated } = await decodeBody(received, answerHeaders['content-encoding'], maxBodyBytes);
    let text = bytes.toString('utf8');
    // The cut may have gone through a character.
    if (isTruncated) while (text.endsWith(REPLACEMENT)) text = text.slice(0, -1);
    return { status, headers: answerHeaders, text, isTruncated };
  } catch (error) {
    if (!(error instanceof ContentCodingError)) throw error;
    return { status, headers: answerHeaders, text: '', isTruncated: false, unreadable: error.message };
  }
}

async function receive(body: AsyncIterable<Buffer>, maxBytes: number): Promise<DecodedBody> {
  const chunks: Buffer[] = [];
  let byteCount = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    byteCount += chunk.length;
    if (byteCount > maxBytes) break;
  }
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isTruncated: byteCount > maxBytes };
}

function toExchangeError(error: unknown): ExchangeError {
  if (error instanceof ExchangeError) return error;
  const isInvalid = error instanceof errors.InvalidArgumentError || error instanceof TypeError;
  return new ExchangeError(isInvalid ? 'invalid' : 'network', codeOf(error), { cause: error });
}

function codeOf(error: unknown): string {
  const { code, cause, name } = error as { code?: unknown; cause?: unknown; name?: string };
  if (typeof code === 'string') return code;
  return cause === undefined || cause === null ? (name ?? 'Error') : codeOf(cause);
}

/**
 * Milliseconds that a `Retry-After` header asks for, at most `maxMs`; undefined when there is none that can be read.
 */
export function retryAfterMs(answer: ExchangeAnswer, maxMs: number): number | undefined {
  const value = answer.headers['retry-after'];
  if (typeof value !== 'string') return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), maxMs);
}
