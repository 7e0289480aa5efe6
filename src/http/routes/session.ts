import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { CallGateway } from '../gateway.ts';
import {
  CallParams,
  CreateAnswer,
  CreateBody,
  EndAnswer,
  ErrorAnswer,
  ListQuery,
  SessionInfo,
  SessionList,
} from '../schemas.ts';

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
          400: ErrorAnswer,
          404: ErrorAnswer,
          429: ErrorAnswer,
          502: ErrorAnswer,
          503: ErrorAnswer,
          504: ErrorAnswer,
        },
      },
    },
    (request) => gateway.createSession(request.scope, request.body, request.id),
  );

  app.post(
    '/api/voice/session/:callId/end',
    {
      schema: {
        operationId: 'endSession',
        tags: ['Calls'],
        summary: 'End a session',
        description: 'Answers with the summary of the call, and with the same summary for 10 minutes after.',
        params: CallParams,
        response: { 200: EndAnswer, 404: ErrorAnswer, 409: ErrorAnswer },
      },
    },
    (request) => gateway.findSession(request.scope, request.params.callId).end(),
  );

  app.get(
    '/api/voice/session/:callId',
    {
      schema: {
        operationId: 'getSession',
        tags: ['Calls'],
        summary: 'Look at a session',
        params: CallParams,
        response: { 200: SessionInfo, 404: ErrorAnswer, 409: ErrorAnswer },
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
        response: { 200: SessionList, 400: ErrorAnswer },
      },
    },
    async (request) => {
      const sessions = gateway.listSessions(request.scope);
      return { sessions: sessions.slice(0, request.query.limit ?? sessions.length), count: sessions.length };
    },
  );
};
