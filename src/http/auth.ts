import type { FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { signInToken } from './cookies.ts';
import { ApiError } from './errors.ts';
import type { RequestRouter, Scope } from './gateway.ts';
import { KEYLESS, type KeyHolder, type KeyRing } from './key-ring.ts';
import { forgeryRefusal } from './origin.ts';
import { may } from './permissions.ts';
import { quote } from './quote.ts';
import { TENANT_ID_PATTERN } from './schemas.ts';
import type { SignIns } from './sign-ins.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose sessions this request may see; set before the handler of every route that needs a key. */
    scope: Scope;
  }
  interface FastifyContextConfig {
    /** A route that answers without a key. */
    public?: boolean;
    /** A route that makes, hears or ends calls. */
    needsCalls?: boolean;
    /** A route that takes `X-Tenant-ID` as the query `tenantId` too. */
    tenantInQuery?: boolean;
    /** A route that takes unencoded audio beside JSON. */
    takesAudio?: boolean;
  }
}

/** Who may ask what. */
export interface AccessOptions {
  readonly keys: KeyRing;
  readonly signIns: SignIns;
  /** Absent: there is one node. */
  readonly router?: RequestRouter | undefined;
}

/**
 * Asks for a key, or for the cookie that one was exchanged for, on every route that is not `config.public`, and decides
 * once, here, whose sessions the request may see: a tenant's key its own, the operator's key all of them or those of the
 * tenant in `X-Tenant-ID`.
 */
export const authPlugin = fastifyPlugin<AccessOptions>(async (app, access) => {
  app.decorateRequest('scope');
  app.addHook('onRequest', (request: FastifyRequest, _reply: FastifyReply, done) => {
    const { config } = request.routeOptions;
    if (config.public || request.is404) return done();
    try {
      request.scope = scopeOf(request, access);
      if (config.needsCalls && !may(request.scope, 'calls')) {
        throw new ApiError('forbidden', 'the API key may look at calls, but not make, hear or end them');
      }
    } catch (error) {
      return done(error as Error);
    }
    done();
  });
});

const TENANT_ID = new RegExp(TENANT_ID_PATTERN);
const BEARER = /^bearer[ \t]+/i;

/** Whose sessions a request may see, and who asks: a client, or for it another node. @throws {ApiError} */
export function scopeOf(request: FastifyRequest, access: AccessOptions): Scope {
  const passedOn = access.router?.scopeOf(request);
  if (passedOn) return passedOn;
  const by = access.keys.isOpen ? KEYLESS : holderOf(request, access);
  const wanted = wantedTenant(request);
  if (by.tenantId === undefined) return { tenantId: wanted, by };
  if (wanted !== undefined && wanted !== by.tenantId) {
    throw new ApiError('forbidden', `X-Tenant-ID is ${quote(wanted)}, but the API key belongs to another tenant`);
  }
  return { tenantId: by.tenantId, by };
}

function holderOf(request: FastifyRequest, { keys, signIns }: AccessOptions): KeyHolder {
  const key = presentedKey(request);
  if (key !== undefined) {
    const holder = keys.find(key, request.raw.socket);
    if (!holder) throw new ApiError('forbidden', 'the API key is not known here');
    return holder;
  }
  const token = signInToken(request);
  if (token === undefined) {
    throw new ApiError('unauthorized', 'X-API-Key is missing: send it, or Authorization: Bearer KEY');
  }
  const digest = signIns.use(token);
  // A key that is taken away takes those with it that it has signed in.
  const holder = digest && keys.holderOf(digest);
  if (!holder) throw new ApiError('unauthorized', 'nobody is signed in any more: sign in again');
  const forgery = forgeryRefusal(request);
  if (forgery) throw forgery;
  return holder;
}

/** `EventSource` and links send no headers, so routes for them take a query. */
function wantedTenant(request: FastifyRequest): string | undefined {
  const header = headerOf(request, 'x-tenant-id');
  const query = request.routeOptions.config.tenantInQuery
    ? (request.query as { tenantId?: unknown }).tenantId
    : undefined;
  const wanted = header ?? query;
  if (wanted === undefined) return undefined;
  if (typeof wanted === 'string' && TENANT_ID.test(wanted)) return wanted;
  const name = header === undefined ? 'tenantId' : 'X-Tenant-ID';
  throw new ApiError(
    'invalid_field',
    `${name} is ${quote(wanted)}, but must be text that matches ${TENANT_ID_PATTERN}`,
  );
}

function presentedKey(request: FastifyRequest): string | undefined {
  const header = headerOf(request, 'x-api-key');
  if (header !== undefined) return header;
  const { authorization = '' } = request.headers;
  const scheme = BEARER.exec(authorization)?.[0];
  // All of the rest, as with X-API-Key: inner blanks and bytes beyond ASCII are of the key.
  return scheme === undefined ? undefined : authorization.slice(scheme.length) || undefined;
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
