import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { failures, KEY_FAILURES } from '../failure-schemas.ts';
import type { StatusReader } from '../gateway.ts';
import { operatorOnly } from '../permissions.ts';
import { STATUS_EXAMPLES, StatusAnswer } from '../status-schemas.ts';

/** How the gateway does, for people. */
export const statusRoutes: FastifyPluginAsyncTypebox<{ status: StatusReader }> = async (app, { status }) => {
  app.get(
    '/api/voice/status',
    {
      schema: {
        operationId: 'status',
        tags: ['Operations'],
        summary: 'How the gateway does',
        description: "What is wrong, in words, the worst on top; and the figures behind it. The operator's key only.",
        response: {
          200: {
            description: 'How the gateway does',
            content: { 'application/json': { schema: StatusAnswer, examples: STATUS_EXAMPLES } },
          },
          ...failures(...KEY_FAILURES),
        },
      },
    },
    async ({ scope }, reply) => {
      operatorOnly(scope, 'how the gateway does');
      return reply.header('cache-control', 'no-store').send(status.read() as never);
    },
  );
};
