import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { ClientWatch } from '../client-watch.ts';
import { CallEvents } from '../event-schemas.ts';
import { CALL_FAILURES, CREATE_FAILURES, failures, KEY_FAILURES } from '../failure-schemas.ts';
import type { CallGateway } from '../gateway.ts';
import { CallParams, CreateAnswer, CreateBody, EndAnswer, ListQuery, SessionInfo, SessionList } from '../schemas.ts';

/** Creating, looking at and ending calls. */
export const sessionRoutes: FastifyPluginAsyncTypebox<{ gateway: CallGateway }> = async (app, { gateway }) => {
  app.post(
    '/api/voice/session/create',
    {
      schema: {
        operationId: 'createSession',
        tags: ['Calls'],
        summary: 'Create a session',
        description:
          'Answers when the AI is ready to listen. The same `callId` again answers `existing`; after `end` it starts a new session.',
        body: CreateBody,
        response: {
          200: CreateAnswer,
          ...failures(...KEY_FAILURES, 'invalid_json', 'body_too_large', 'unsupported_media_type', ...CREATE_FAILURES),
        },
      },
    },
    async (request, reply) => {
      const answer = await gateway.createSession(request.scope, request.body, request.id, new ClientWatch(reply.raw));
      if (answer.streamUrl !== undefined) reply.header('x-call-node', new URL(answer.streamUrl).host);
      return answer;
    },
  );

  // Without it, `create` would be taken for the name of a call that nobody knows.
  app.route({
    method: 'GET',
    url: '/api/voice/session/create',
    config: { public: true, isRefusal: true },
    schema: { hide: true },
    handler: (_request, reply) => reply.callNotFound(),
  });

  await app.register(endRoute, { gateway });

  app.get(
    '/api/voice/session/:callId',
    {
      schema: {
        operationId: 'getSession',
        tags: ['Calls'],
        summary: 'Look at a session',
        params: CallParams,
        response: { 200: SessionInfo, ...failures(...CALL_FAILURES) },
      },
    },
    async (request) => gateway.findSession(request.scope, request.params.callId).info(),
  );

  app.get(
    '/api/voice/session/:callId/events',
    {
      schema: {
        operationId: 'getSessionEvents',
        tags: ['Calls'],
        summary: 'What happened on a call',
        description:
          'Every turn with its hops and their milliseconds, and everything else that happened, until 10 minutes after the end. `npm run trace -- CALL_ID` prints it.',
        params: CallParams,
        response: { 200: CallEvents, ...failures(...CALL_FAILURES) },
      },
    },
    async (request) => gateway.findSession(request.scope, request.params.callId).events(),
  );

  app.get(
    '/api/voice/sessions',
    {
      schema: {
        operationId: 'listSessions',
        tags: ['Calls'],
        summary: 'List active sessions',
        querystring: ListQuery,
        response: { 200: SessionList, ...failures(...KEY_FAILURES) },
      },
    },
    async (request) => {
      const sessions = await gateway.listSessions(request.scope);
      return { sessions: sessions.slice(0, request.query.limit ?? sessions.length), count: sessions.length };
    },
  );
};

/** Ending a call takes no body, whatever the client says it sends: mod_curl and `curl -d ''` name a type for nothing. */
const endRoute: FastifyPluginAsyncTypebox<{ gateway: CallGateway }> = async (app, { gateway }) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null));

  app.post(
    '/api/voice/session/:callId/end',
    {
      schema: {
        operationId: 'endSession',
        tags: ['Calls'],
        summary: 'End a session',
        description: 'Answers with the summary of the call, and with the same summary for 10 minutes after.',
        params: CallParams,
        response: { 200: EndAnswer, ...failures(...CALL_FAILURES) },
      },
    },
    async (request) => ({
      status: 'ended' as const,
      summary: await gateway.findSession(request.scope, request.params.callId).end(),
    }),
  );
};
