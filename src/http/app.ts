import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { authPlugin } from './auth.ts';
import { docsPlugin } from './docs.ts';
import { installErrorHandling } from './error-handler.ts';
import type { CallGateway } from './gateway.ts';
import type { KeyRing } from './key-ring.ts';
import { operationsRoutes } from './routes/operations.ts';
import { sessionRoutes } from './routes/session.ts';
import { streamRoutes } from './routes/stream.ts';
import { MAX_POLL_TIMEOUT_MS } from './schemas.ts';
import { validatorCompiler } from './validation.ts';

/** Largest body that is read. */
export const MAX_BODY_BYTES = 10_000_000;

export interface AppOptions {
  readonly gateway: CallGateway;
  readonly keys: KeyRing;
  readonly logger: FastifyBaseLogger;
  readonly version: string;
  readonly openMetrics: boolean;
  readonly trustProxy?: boolean | string[];
  /** PEM texts; with them the app speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Told about each finished request; `route` is the pattern, never the URL. */
  readonly onRequestEnd?: (method: string, route: string, status: number, durationSeconds: number) => void;
}

/** The HTTP side of the daemon. The caller listens and closes. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { gateway, keys, logger, openMetrics, onRequestEnd } = options;
  const app = fastify({
    loggerInstance: logger,
    // A line a request would be ten lines a second and call; what happens on a call is logged by the call.
    disableRequestLogging: true,
    genReqId: () => randomUUID(),
    requestIdHeader: 'x-request-id',
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: 512 },
    trustProxy: options.trustProxy ?? false,
    // Longer than the longest poll, so that a connection outlives it; proxies in front keep theirs shorter.
    keepAliveTimeout: MAX_POLL_TIMEOUT_MS + 12_000,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    return503OnClosing: false,
    ...(options.tls ? { https: options.tls } : {}),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as FastifyInstance;

  app.setValidatorCompiler(validatorCompiler as never);
  installErrorHandling(app);
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  if (onRequestEnd) {
    app.addHook('onResponse', async (request, reply) => {
      onRequestEnd(request.method, request.routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime / 1000);
    });
  }
  await app.register(authPlugin, { keys });
  await app.register(docsPlugin, { version: options.version });
  await app.register(operationsRoutes, { gateway, openMetrics });
  await app.register(sessionRoutes, { gateway });
  await app.register(streamRoutes, { gateway });
  return app;
}
