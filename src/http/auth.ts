import type { FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { ApiError } from './errors.ts';
import type { RequestRouter, Scope } from './gateway.ts';
import type { KeyRing } from './key-ring.ts';
import { quote } from './quote.ts';
import { TENANT_ID_PATTERN } from './schemas.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose sessions this request may see; set before the handler of every route that needs a key. */
    scope: Scope;
  }
  interface FastifyContextConfig {
    /** A route that answers without a key. */
    public?: boolean;
    /** A route that takes unencoded audio beside JSON. */
    takesAudio?: boolean;
  }
}

/**
 * Asks for a key on every route that is not `config.public`, and decides once, here, whose sessions the request may
 * see: a tenant's key its own, the operator's key all of them or those of the tenant in `X-Tenant-ID`.
 */
export const authPlugin = fastifyPlugin<{
  keys: KeyRing;
  router?: RequestRouter | undefined;
}>(async (app, { keys, router }) => {
  app.decorateRequest('scope');
  app.addHook('onRequest', (request: FastifyRequest, _reply: FastifyReply, done) => {
    if (request.routeOptions.config.public || request.is404) return done();
    try {
      request.scope = router?.scopeOf(request) ?? scopeOf(request, keys);
    } catch (error) {
      return done(error as Error);
    }
    done();
  });
});

const TENANT_ID = new RegExp(TENANT_ID_PATTERN);
const BEARER = /^bearer[ \t]+/i;

function scopeOf(request: FastifyRequest, keys: KeyRing): Scope {
  if (keys.isOpen) return { tenantId: wantedTenant(request) };
  const key = presentedKey(request);
  if (key === undefined) {
    throw new ApiError('unauthorized', 'X-API-Key is missing: send it, or Authorization: Bearer KEY');
  }
  const holder = keys.find(key, request.raw.socket);
  if (!holder) throw new ApiError('forbidden', 'the API key is not known here');
  const wanted = wantedTenant(request);
  if (holder.tenantId === undefined) return { tenantId: wanted };
  if (wanted !== undefined && wanted !== holder.tenantId) {
    throw new ApiError('forbidden', `X-Tenant-ID is ${quote(wanted)}, but the API key belongs to another tenant`);
  }
  return { tenantId: holder.tenantId };
}

function wantedTenant(request: FastifyRequest): string | undefined {
  const wanted = headerOf(request, 'x-tenant-id');
  if (wanted === undefined || TENANT_ID.test(wanted)) return wanted;
  throw new ApiError(
    'invalid_field',
    `X-Tenant-ID is ${quote(wanted)}, but must be text that matches ${TENANT_ID_PATTERN}`,
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
