import type { FastifyRequest } from 'fastify';
import { ApiError } from './errors.ts';
import { quote } from './quote.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A route that pages of other sites may ask and link to: nothing of a call is in its answers. */
    anyOrigin?: boolean;
  }
}

export interface OriginRules {
  /** Nobody needs a key, so what keeps strangers out is that only this machine can connect. */
  readonly isKeyless: boolean;
  readonly isTls: boolean;
}

/** Why a request is refused for the name it was sent to, or for the page it comes from. */
export function originRefusal(request: FastifyRequest, { isKeyless, isTls }: OriginRules): ApiError | undefined {
  const { headers, raw } = request;
  const { host, origin } = headers;
  if (host === undefined && raw.httpVersionMinor === 1) {
    return new ApiError('bad_request', 'the Host header is missing');
  }
  if (countOf(raw.rawHeaders, 'host') > 1) return new ApiError('bad_request', 'there are several Host headers');
  // A page elsewhere can give its own name this machine's address. Its requests then come from here, under that name.
  if (isKeyless && host !== undefined && !isLoopbackName(host)) {
    return new ApiError(
      'misdirected',
      `Host is ${quote(host)}, but without a key the gateway answers to 127.0.0.1, localhost and [::1] only`,
    );
  }
  if (request.routeOptions.config.anyOrigin) return undefined;
  if (origin !== undefined && !isSameOrigin(origin, host, isTls)) {
    return new ApiError('foreign_origin', `Origin is ${quote(origin)}, but pages of other sites may not call here`);
  }
  // `same-site` is another port of this machine, or another name of this domain: as foreign as any.
  const site = headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site') {
    return new ApiError('foreign_origin', `Sec-Fetch-Site is ${site}, but pages of other sites may not call here`);
  }
  return undefined;
}

/** Whether a page in a browser sends it. */
export function isFromPage({ headers }: FastifyRequest): boolean {
  return headers.origin !== undefined || headers['sec-fetch-site'] !== undefined;
}

/**
 * Why a request that a browser's cookie vouches for is refused: one that changes something has to prove that a page of this
 * gateway sent it. That a foreign `Origin` is refused is the rule for all requests.
 */
export function forgeryRefusal({ method, headers }: FastifyRequest): ApiError | undefined {
  if (method === 'GET' || method === 'HEAD') return undefined;
  if (headers.origin !== undefined || headers['sec-fetch-site'] === 'same-origin') return undefined;
  return new ApiError(
    'foreign_origin',
    'Origin is missing: who is signed in by a cookie sends requests from a page of this gateway; programs send a key',
  );
}

const LOOPBACK_NAME = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

function isLoopbackName(host: string): boolean {
  return LOOPBACK_NAME.test(host);
}

/** Browsers write no port into either header where it is the scheme's own. A proxy may have taken TLS off. */
function isSameOrigin(origin: string, host: string | undefined, isTls: boolean): boolean {
  const [scheme, rest] = origin.toLowerCase().split('://', 2);
  if (scheme !== 'https' && (isTls || scheme !== 'http')) return false;
  return rest === host?.toLowerCase();
}

function countOf(rawHeaders: readonly string[], wanted: string): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === wanted.length && name.toLowerCase() === wanted) count++;
  }
  return count;
}
