import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type CallHistory, hasNotedLook } from '../call-history.ts';
import { ClientWatch } from '../client-watch.ts';
import { CALL_FAILURES, CREATE_FAILURES, failures, KEY_FAILURES } from '../failure-schemas.ts';
import type { CallGateway } from '../gateway.ts';
import { isFromPage } from '../origin.ts';
import { may } from '../permissions.ts';
import { CallParams, CreateAnswer, CreateBody, EndAnswer, ListQuery, SessionInfo, SessionList } from '../schemas.ts';
import { withTrace } from '../trace-fields.ts';
import { withoutWords } from '../without-words.ts';

export interface SessionOptions {
  readonly gateway: CallGateway;
  readonly history: CallHistory;
}

/** Creating, looking at and ending calls. */
export const sessionRoutes: FastifyPluginAsyncTypebox<SessionOptions> = async (app, { gateway, history }) => {
  app.post(
    '/api/voice/session/create',
    {
      config: { needsCalls: true },
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
      const body = withTrace(request.body, request.headers);
      const answer = await gateway.createSession(request.scope, body, request.id, new ClientWatch(reply.raw));
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

  await app.register(endRoute, { gateway, history });

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
const endRoute: FastifyPluginAsyncTypebox<SessionOptions> = async (app, { gateway, history }) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null));

  app.post(
    '/api/voice/session/:callId/end',
    {
      config: { needsCalls: true },
      schema: {
        operationId: 'endSession',
        tags: ['Calls'],
        summary: 'End a session',
        description: 'Answers with the summary of the call, and with the same summary for 10 minutes after.',
        params: CallParams,
        response: { 200: EndAnswer, ...failures(...CALL_FAILURES) },
      },
    },
    async (request) => {
      const { scope } = request;
      const call = gateway.findSession(scope, request.params.callId);
      const summary = await call.end();
      // To a switch its own call's summary is no look; on a page somebody may read it.
      const seesWords =
        may(scope, 'transcripts') && (!isFromPage(request) || (await hasNotedLook(history, scope, call, 'end')));
      return { status: 'ended' as const, summary: seesWords ? summary : withoutWords(summary) };
    },
  );
};
