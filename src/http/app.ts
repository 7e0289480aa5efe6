import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import { monotonicNowMs } from '../clock.ts';
import { AllowedMethods } from './allowed-methods.ts';
import { authPlugin, scopeOf } from './auth.ts';
import type { CallHistory } from './call-history.ts';
import { answerClientError } from './client-errors.ts';
import { Connections } from './connections.ts';
import { consoleFiles } from './console-files.ts';
import { docsPlugin } from './docs.ts';
import { answerFrameworkError, installErrorHandling } from './error-handler.ts';
import { ApiError } from './errors.ts';
import { Followers } from './followers.ts';
import type { CallGateway, RequestRouter, StatusReader } from './gateway.ts';
import { installJsonParser } from './json-body.ts';
import type { KeyRing } from './key-ring.ts';
import { type OriginRules, originRefusal } from './origin.ts';
import { quote } from './quote.ts';
import { requestIdOf } from './request-id.ts';
import { consoleRoutes } from './routes/console.ts';
import { duplexRoutes } from './routes/duplex.ts';
import { historyRoutes } from './routes/history.ts';
import { liveRoutes } from './routes/live.ts';
import { looksRoutes } from './routes/looks.ts';
import { operationsRoutes } from './routes/operations.ts';
import { recordingRoutes } from './routes/recording.ts';
import { sessionRoutes } from './routes/session.ts';
import { statusRoutes } from './routes/status.ts';
import { streamRoutes } from './routes/stream.ts';
import { usageRoutes } from './routes/usage.ts';
import { MAX_BODY_BYTES, MAX_POLL_TIMEOUT_MS } from './schemas.ts';
import { SignInThrottle } from './sign-in-throttle.ts';
import { SignIns } from './sign-ins.ts';
import { validatorCompiler } from './validation.ts';

/** Longest a request may take to arrive: 10 MB at 0.7 Mbit/s. It does not bound how long its answer takes. */
const REQUEST_TIMEOUT_MS = 120_000;
/** How long a connection may be silent before the network is asked whether its other end is still there. */
const TCP_KEEP_ALIVE_MS = 30_000;

export interface AppOptions {
  readonly gateway: CallGateway;
  readonly history: CallHistory;
  /** What costs are in. */
  readonly currency: string;
  readonly keys: KeyRing;
  readonly status: StatusReader;
  readonly logger: FastifyBaseLogger;
  readonly version: string;
  readonly openMetrics: boolean;
  readonly trustProxy?: boolean | string[];
  /** PEM texts; with them the app speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Where the built console is; default: where the build puts it. */
  readonly consoleFolder?: string | undefined;
  /** Absent: there is one node. */
  readonly router?: RequestRouter | undefined;
  /** Default: some of its own, without a limit. */
  readonly connections?: Connections;
  /** Told about each finished request; `route` is the pattern, never the URL. */
  readonly onRequestEnd?: (method: string, route: string, status: number, durationSeconds: number) => void;
}

/** The HTTP side of the daemon. The caller listens and closes. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { gateway, keys, logger, openMetrics, onRequestEnd, connections = new Connections() } = options;
  const app = fastify({
    loggerInstance: logger,
    // A line a request would be ten lines a second and call; what happens on a call is logged by the call.
    logController: new LogController({ disableRequestLogging: true }),
    // A logger a request is the dearest part of most requests; the few that are logged say which they are.
    childLoggerFactory: (log) => log,
    genReqId: (request) => requestIdOf(request),
    bodyLimit: MAX_BODY_BYTES,
    // A path is bounded by the header size already; a callId nobody knows is not found, however long.
    routerOptions: { maxParamLength: 16_384 },
    trustProxy: options.trustProxy ?? false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError,
    serverFactory: (handler) =>
      connections.createServer(handler, {
        tls: options.tls,
        tcpKeepAliveMs: TCP_KEEP_ALIVE_MS,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        // Longer than the longest poll, so that a connection outlives it; proxies in front keep theirs shorter.
        keepAliveTimeoutMs: MAX_POLL_TIMEOUT_MS + 12_000,
      }),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as FastifyInstance;

  app.setValidatorCompiler(validatorCompiler as never);
  const allowed = new AllowedMethods();
  allowed.observe(app);
  installErrorHandling(app, allowed);
  installJsonParser(app);
  // Text is none of the bodies the API takes.
  app.removeContentTypeParser('text/plain');
  app.addHook('onClose', () => connections.close());
  const rules: OriginRules = { isKeyless: keys.isOpen, isTls: options.tls !== undefined };
  // No hook of a request is async: each would cost every chunk a promise and a turn of the microtask queue.
  app.addHook('onRequest', (request, _reply, done) => done(refusalOf(request, rules)));
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id);
    done(null, payload);
  });
  if (onRequestEnd) {
    app.addHook('onResponse', (request, reply, done) => {
      onRequestEnd(
        request.method,
        request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown'),
        reply.statusCode,
        reply.elapsedTime / 1000,
      );
      done();
    });
  }
  const access = { keys, signIns: new SignIns(monotonicNowMs), router: options.router };
  await app.register(authPlugin, access);
  if (options.router) installRouter(app, options.router);
  await app.register(docsPlugin, { version: options.version });
  await app.register(operationsRoutes, { gateway, openMetrics });
  await app.register(sessionRoutes, { gateway, history: options.history });
  await app.register(streamRoutes, { gateway });
  await app.register(duplexRoutes, { gateway });
  await app.register(historyRoutes, { history: options.history });
  await app.register(statusRoutes, { status: options.status });
  await app.register(looksRoutes, { history: options.history });
  await app.register(consoleRoutes, { ...access, throttle: new SignInThrottle(monotonicNowMs) });
  await app.register(consoleFiles, { folder: options.consoleFolder });
  await app.register(liveRoutes, {
    gateway,
    history: options.history,
    followers: new Followers(monotonicNowMs),
    check: (request) => void scopeOf(request, access),
  });
  await app.register(recordingRoutes, { history: options.history });
  await app.register(usageRoutes, { history: options.history, currency: options.currency });
  return app;
}

const CALL_ROUTE = /^\/api\/voice\/(?:stream|session)\/:callId/;

/** Before anything of its body is read, each request that names a call goes to where the call is. */
function installRouter(app: FastifyInstance, router: RequestRouter): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    // A request whose key was refused has no scope, and its error is on its way.
    const place = CALL_ROUTE.test(request.routeOptions.url ?? '') ? router.route(request, reply) : undefined;
    if (place === undefined) return done(null, payload);
    place.then(
      (body) => {
        if (body !== 'answered') done(null, body ?? payload);
      },
      (error: Error) => done(error),
    );
  });
}

/** Why a request is turned away before anything of its body is read. */
function refusalOf(request: FastifyRequest, rules: OriginRules): ApiError | undefined {
  const refusal = originRefusal(request, rules);
  if (refusal) return refusal;
  // An error of any kind: it becomes 404, or 405.
  if (request.is404) return new ApiError('not_found', 'no route');
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || encoding === '' || encoding === 'identity') return undefined;
  return new ApiError('unsupported_media_type', `Content-Encoding is ${quote(encoding)}, but bodies are read as is`);
}

/** How long answers that are being written when the app closes may take. */
const CLOSING_GRACE_MS = 5_000;
const CLOSING_SWEEP_MS = 20;

/**
 * Closes the app: answers under way are still given, the last summaries of a draining daemon among them; connections
 * that are idle, or become so, are closed, and after a while all of them.
 */
export async function closeApp(app: FastifyInstance): Promise<void> {
  const endsAtMs = monotonicNowMs() + CLOSING_GRACE_MS;
  const sweep = setInterval(() => {
    if (monotonicNowMs() > endsAtMs) app.server.closeAllConnections();
    else app.server.closeIdleConnections();
  }, CLOSING_SWEEP_MS);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
  }
}
