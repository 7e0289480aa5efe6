import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { NOT_READY_EXAMPLES, READY_EXAMPLES } from '../examples.ts';
import { failures } from '../failure-schemas.ts';
import type { CallGateway } from '../gateway.ts';
import { Health, Readiness } from '../schemas.ts';

export interface OperationsOptions {
  readonly gateway: CallGateway;
  /** Whether `/metrics` answers without a key. */
  readonly openMetrics: boolean;
}

const METRICS_EXAMPLE = `# HELP voice_gateway_sessions_active Calls at the moment
# TYPE voice_gateway_sessions_active gauge
voice_gateway_sessions_active 3
`;

/** What load balancers and Prometheus ask. */
export const operationsRoutes: FastifyPluginAsyncTypebox<OperationsOptions> = async (app, { gateway, openMetrics }) => {
  let exposition: ReturnType<CallGateway['metrics']> | undefined;

  app.get(
    '/health',
    {
      config: { public: true, anyOrigin: true },
      schema: {
        operationId: 'health',
        tags: ['Operations'],
        summary: 'Whether the daemon is alive',
        security: [],
        response: { 200: Health },
      },
    },
    async () => gateway.health(),
  );

  app.get(
    '/ready',
    {
      config: { public: true, anyOrigin: true },
      schema: {
        operationId: 'ready',
        tags: ['Operations'],
        summary: 'Whether new calls are taken',
        security: [],
        response: {
          200: { ...Readiness, description: 'New calls are taken', 'x-examples': READY_EXAMPLES },
          503: {
            ...Readiness,
            description: 'New calls are refused; running ones go on',
            'x-examples': NOT_READY_EXAMPLES,
          },
        },
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
      schema: {
        operationId: 'metrics',
        tags: ['Operations'],
        summary: 'Prometheus metrics',
        ...(openMetrics ? { security: [] } : {}),
        response: {
          200: {
            description: 'In the Prometheus text format',
            content: {
              'text/plain': {
                schema: { type: 'string' },
                examples: { gauge: { summary: 'One of many', value: METRICS_EXAMPLE } },
              },
            },
          },
          ...(openMetrics ? {} : failures('unauthorized', 'forbidden')),
        },
      },
    },
    async (_request, reply) => {
      // Whoever asks while an exposition is being made gets the same one.
      exposition ??= gateway.metrics().finally(() => {
        exposition = undefined;
      });
      const { contentType, text } = await exposition;
      return reply.type(contentType).send(text);
    },
  );
};
