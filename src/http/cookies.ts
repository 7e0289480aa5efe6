import { parseCookie, stringifySetCookie } from 'cookie';
import type { FastifyRequest } from 'fastify';
import { SIGN_IN_MS } from './sign-ins.ts';

/** Over TLS, browsers take a cookie of this name from the host itself only, and send it to nobody else. */
const SECURE_NAME = '__Host-voice-gateway';
const PLAIN_NAME = 'voice-gateway';

/** The token that a browser signed in with. */
export function signInToken(request: FastifyRequest): string | undefined {
  const { cookie } = request.headers;
  if (cookie === undefined) return undefined;
  return parseCookie(cookie)[nameFor(request)] || undefined;
}

/** `Set-Cookie` for whoever has signed in; without a token, for whoever signs out. */
export function signInCookie(request: FastifyRequest, token: string | undefined): string {
  return stringifySetCookie({
    name: nameFor(request),
    value: token ?? '',
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: isSecure(request),
    maxAge: token === undefined ? 0 : SIGN_IN_MS / 1000,
  });
}

function nameFor(request: FastifyRequest): string {
  return isSecure(request) ? SECURE_NAME : PLAIN_NAME;
}

/** TLS here, or at a proxy that is trusted. */
function isSecure(request: FastifyRequest): boolean {
  return request.protocol === 'https';
}
