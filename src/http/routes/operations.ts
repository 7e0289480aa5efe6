import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { CallGateway } from '../gateway.ts';
import { Health, Readiness } from '../schemas.ts';

export interface OperationsOptions {
  readonly gateway: CallGateway;
  /** Whether `/metrics` answers without a key. */
  readonly openMetrics: boolean;
}

/** What load balancers and Prometheus ask. */
export const operationsRoutes: FastifyPluginAsyncTypebox<OperationsOptions> = async (app, { gateway, openMetrics }) => {
  app.get(
    '/health',
    {
      config: { public: true },
      schema: {
        operationId: 'health',
        tags: ['Operations'],
        summary: 'Whether the daemon is alive',
        response: { 200: Health },
      },
    },
    async () => gateway.health(),
  );

  app.get(
    '/ready',
    {
      config: { public: true },
      schema: {
        operationId: 'ready',
        tags: ['Operations'],
        summary: 'Whether new calls are taken',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const readiness = gateway.readiness();
      return reply.code(readiness.ready ? 200 : 503).send(readiness);
    },
  );

  app.get(
    '/metrics',
    {
      config: { public: openMetrics },
      schema: { operationId: 'metrics', tags: ['Operations'], summary: 'Prometheus metrics', produces: ['text/plain'] },
    },
    async (_request, reply) => {
      const { contentType, text } = await gateway.metrics();
      return reply.type(contentType).send(text);
    },
  );
};
