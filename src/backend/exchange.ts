import { Agent, type Dispatcher, errors, request } from 'undici';

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
  /** More of the answer than this is not read. */
  readonly maxBodyBytes: number;
  readonly dispatcher: Dispatcher;
  readonly signal?: AbortSignal | undefined;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body as UTF-8, cut at `maxBodyBytes`. */
  readonly text: string;
  readonly isTruncated: boolean;
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
 * One HTTP request and its whole answer, whatever its status. Redirects are answers like any other.
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
  const { url, method, headers, body, maxBodyBytes, dispatcher } = options;
  const answer = await request(url, { method, headers, body: body ?? null, dispatcher, signal });
  const chunks: Buffer[] = [];
  let byteCount = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    byteCount += chunk.length;
    if (byteCount > maxBodyBytes) break;
  }
  const isTruncated = byteCount > maxBodyBytes;
  let text = Buffer.concat(chunks).toString('utf8', 0, Math.min(byteCount, maxBodyBytes));
  // The cut may have gone through a character.
  if (isTruncated) while (text.endsWith(REPLACEMENT)) text = text.slice(0, -1);
  return { status: answer.statusCode, headers: answer.headers, text, isTruncated };
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
