import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { SignInBody, WHO_EXAMPLES, Who } from '../console-schemas.ts';
import { signInCookie, signInToken } from '../cookies.ts';
import { ApiError } from '../errors.ts';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import { digestOf, type KeyRing } from '../key-ring.ts';
import { may, nameOf } from '../permissions.ts';
import type { SignInThrottle } from '../sign-in-throttle.ts';
import type { SignIns } from '../sign-ins.ts';

export interface ConsoleOptions {
  readonly keys: KeyRing;
  readonly signIns: SignIns;
  readonly throttle: SignInThrottle;
}

const NOTHING = Type.Null({ description: 'Done' });

/** Signing in to the console and out of it. */
export const consoleRoutes: FastifyPluginAsyncTypebox<ConsoleOptions> = async (app, { keys, signIns, throttle }) => {
  app.post(
    '/console/sign-in',
    {
      config: { public: true },
      schema: {
        operationId: 'signIn',
        tags: ['Console'],
        summary: 'Exchange a key for a cookie',
        description:
          'The cookie stands for the key on every route, for 12 hours, or 2 without a request. Scripts cannot read it, and pages of other sites cannot use it.',
        security: [],
        body: SignInBody,
        response: {
          204: NOTHING,
          ...failures('invalid_json', 'forbidden', 'foreign_origin', 'too_many_attempts'),
        },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      if (keys.isOpen) return reply.code(204).send(null);
      const waitMs = throttle.attempt(request.ip);
      if (waitMs > 0) {
        const seconds = Math.ceil(waitMs / 1000);
        const why = `too many wrong keys came from this address: try again in ${seconds} s`;
        throw new ApiError('too_many_attempts', why, { retryAfterSeconds: seconds });
      }
      const digest = digestOf(request.body.key);
      if (!keys.holderOf(digest)) throw new ApiError('forbidden', 'the API key is not known here');
      throttle.succeeded(request.ip);
      const before = signInToken(request);
      if (before !== undefined) signIns.close(before);
      return reply
        .code(204)
        .header('set-cookie', signInCookie(request, signIns.open(digest)))
        .send(null);
    },
  );

  app.post(
    '/console/sign-out',
    {
      config: { public: true },
      schema: {
        operationId: 'signOut',
        tags: ['Console'],
        summary: 'Sign out',
        description: 'The cookie is good for nothing from then on, whoever has a copy of it.',
        security: [],
        response: { 204: NOTHING, ...failures('foreign_origin') },
      },
    },
    async (request, reply) => {
      const token = signInToken(request);
      if (token !== undefined) signIns.close(token);
      reply.header('cache-control', 'no-store');
      return reply.code(204).header('set-cookie', signInCookie(request, undefined)).send(null);
    },
  );

  app.get(
    '/console/who',
    {
      schema: {
        operationId: 'who',
        tags: ['Console'],
        summary: 'Who asks, and what the key may',
        response: {
          200: {
            description: 'Whoever asks',
            content: { 'application/json': { schema: Who, examples: WHO_EXAMPLES } },
          },
          ...failures(...KEY_FAILURES),
        },
      },
    },
    async ({ scope }, reply) => {
      reply.header('cache-control', 'no-store');
      const seesAll = scope.by?.tenantId === undefined;
      const mayCall = may(scope, 'calls');
      return {
        name: nameOf(scope),
        role: seesAll ? ('operator' as const) : ('tenant' as const),
        ...(scope.tenantId === undefined ? {} : { tenantId: scope.tenantId }),
        isKeyless: keys.isOpen,
        may: {
          transcripts: may(scope, 'transcripts'),
          numbers: may(scope, 'numbers'),
          end: mayCall,
          talk: mayCall,
        },
      };
    },
  );
};
