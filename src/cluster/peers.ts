import { type Dispatcher, Pool } from 'undici';
import type { Departure } from '../call/reply/poll-wait.ts';
import { ApiError } from '../http/errors.ts';
import { type ApiErrorCode, FAILURES } from '../http/failures.ts';
import type { Scope } from '../http/gateway.ts';
import type { Member } from './directory.ts';
import { NODE_HEADERS, NOT_HERE, type Proofs } from './proof.ts';

const CONNECT_TIMEOUT_MS = 1_000;
/** Shorter than that of the node's server, so that no request meets a connection that is being closed. */
const KEEP_ALIVE_MS = 60_000;

/** A request that this node itself makes to another. */
export interface PeerRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly scope: Scope;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly requestId?: string | undefined;
  /** Who waits for the answer; once they have gone it is given up. */
  readonly client?: Departure | undefined;
}

/** The way to the other nodes: a pool of kept connections to each. Whoever creates it closes it. */
export class Peers {
  readonly #proofs: Proofs;
  readonly #pools = new Map<string, Pool>();

  constructor(proofs: Proofs) {
    this.#proofs = proofs;
  }

  /** Sends a request whose answer `handler` takes, with whatever time it takes. */
  dispatch(
    { url, instance }: Member,
    request: Dispatcher.DispatchOptions & { readonly headers: Record<string, string | string[]> },
    scope: Scope,
    handler: Dispatcher.DispatchHandler,
  ): void {
    Object.assign(request.headers, this.#proofs.headers(request.method, request.path, scope, instance));
    this.#pool(url).dispatch({ ...request, headersTimeout: 0, bodyTimeout: 0 }, handler);
  }

  /**
   * Asks another node something and reads its whole answer.
   * @throws {ApiError} what the node answers that is an error
   * @throws {PeerUnreachable} when there is no answer
   * @throws {NotHere} when it does not have the call
   */
  async ask<T>(member: Member, request: PeerRequest): Promise<T> {
    const { method, path, scope, body, timeoutMs, requestId, client } = request;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    client?.watch(() => abort.abort(new Error('the client has gone')));
    let status: number;
    let headers: Record<string, string | string[] | undefined>;
    let text: string;
    try {
      const answer = await this.#pool(member.url).request({
        method,
        path,
        headers: {
          ...this.#proofs.headers(method, path, scope, member.instance),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        headersTimeout: 0,
        bodyTimeout: 0,
        signal: abort.signal,
      });
      status = answer.statusCode;
      headers = answer.headers;
      text = await answer.body.text();
    } catch (cause) {
      throw new PeerUnreachable(member, cause);
    } finally {
      clearTimeout(timer);
      client?.watch(undefined);
    }
    if (headers[NOT_HERE] !== undefined) throw new NotHere();
    if (status >= 300) throw errorOf(text);
    return JSON.parse(text) as T;
  }

  /** Closes what belongs to nodes that are no longer there. */
  keepOnly(urls: ReadonlySet<string>): void {
    for (const [url, pool] of this.#pools) {
      if (urls.has(url)) continue;
      this.#pools.delete(url);
      void pool.destroy();
    }
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #pool(url: string): Pool {
    let pool = this.#pools.get(url);
    if (!pool) {
      pool = new Pool(url, {
        pipelining: 1,
        connect: { timeout: CONNECT_TIMEOUT_MS },
        keepAliveTimeout: KEEP_ALIVE_MS,
        keepAliveMaxTimeout: KEEP_ALIVE_MS,
      });
      this.#pools.set(url, pool);
    }
    return pool;
  }
}

/** The other node gave no answer: it is gone, or the way to it is. */
export class PeerUnreachable extends Error {
  readonly code = 'peer_unreachable';
  /** It turns connections away, as a process that has ended does. */
  readonly isRefused: boolean;

  constructor({ nodeId }: Member, cause: unknown) {
    super(`node ${nodeId} does not answer: ${(cause as Error).message}`, { cause });
    this.name = 'PeerUnreachable';
    this.isRefused = isRefusal(cause);
  }
}

/** The other node does not have the call. */
export class NotHere extends Error {
  readonly code = 'not_here';
}

/** Whether an error says that nobody listens there any more. */
export function isRefusal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' || code === 'EPIPE';
}

/** Headers that concern one connection, or that only the first node is to read. */
const NOT_PASSED_ON = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'content-length',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'host',
  'origin',
  'x-api-key',
  'authorization',
  'cookie',
  'x-tenant-id',
  'sec-fetch-site',
  ...Object.values(NODE_HEADERS),
]);

/** A client's headers as another node is to have them. */
export function passedOn(rawHeaders: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    if (!NOT_PASSED_ON.has(name)) headers[name] = rawHeaders[at + 1]!;
  }
  return headers;
}

/** What another node told its client, for this node's. */
function errorOf(text: string): Error {
  const { error = '', code = '' } = JSON.parse(text) as { error?: string; code?: string };
  if (!(code in FAILURES)) return new Error(`another node answered ${text.slice(0, 200)}`);
  return new ApiError(code as ApiErrorCode, error);
}
