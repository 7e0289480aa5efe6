import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CallError } from '../call/errors.ts';
import type { AllowedMethods } from './allowed-methods.ts';
import { ApiError, fromCallError } from './errors.ts';
import { quote } from './quote.ts';
import { RefusalLog } from './refusal-log.ts';
import { RAW_AUDIO_TYPES } from './schemas.ts';

/** Most characters of a URL in a log line. */
const MAX_LOGGED_URL = 200;
const ACCESS_STATUSES = new Set([401, 403, 421]);

/** Makes every failure an answer of one shape, and lets nothing internal out. */
export function installErrorHandling(app: FastifyInstance, allowed: AllowedMethods): void {
  const refusals = new RefusalLog();
  app.setErrorHandler((error: FastifyError | ApiError | CallError, request, reply) => {
    // Of a path that does not exist, what else is wrong with the request does not matter.
    if (request.is404) return sendNotFound(reply, request, allowed);
    const apiError = toApiError(error, request);
    if (apiError.code === 'internal') request.log.error({ ...namesOf(request), err: error }, 'request failed');
    else if (apiError.statusCode >= 500) {
      // What keeps a call from starting is logged where it is found out, and a chunk refused is a chunk in ten a second.
      request.log.debug({ ...namesOf(request), code: apiError.code }, 'request refused');
    } else if (ACCESS_STATUSES.has(apiError.statusCode)) logRefusal(request, apiError, refusals);
    return sendError(reply, request, apiError);
  });
  app.setNotFoundHandler((request, reply) => sendNotFound(reply, request, allowed));
}

function logRefusal(request: FastifyRequest, { code }: ApiError, refusals: RefusalLog): void {
  const unlogged = refusals.admit(request.ip);
  if (unlogged === undefined) return;
  const url = pathOf(request);
  request.log.info(
    {
      requestId: request.id,
      code,
      clientAddress: request.ip,
      url: url.length > MAX_LOGGED_URL ? `${url.slice(0, MAX_LOGGED_URL)}…` : url,
      ...(unlogged > 0 ? { unlogged } : {}),
    },
    'access refused',
  );
}

/** Answers a request that failed before it found its route. */
export function answerFrameworkError(_error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendError(
    reply,
    request,
    new ApiError('bad_request', `the path is ${quote(pathOf(request))}, which is no valid URL`),
  );
}

function sendNotFound(reply: FastifyReply, request: FastifyRequest, allowed: AllowedMethods): FastifyReply {
  const path = pathOf(request);
  const methods = allowed.of(path);
  if (methods.length === 0 || methods.includes(request.method)) {
    return sendError(reply, request, new ApiError('not_found', `there is no ${quote(path)}; see /docs`));
  }
  const names = methods.join(', ');
  reply.header('allow', names);
  const sentence = `the method is ${request.method}, but ${quote(path)} takes ${names}; see /docs`;
  return sendError(reply, request, new ApiError('method_not_allowed', sentence));
}

/** Which request it was, and about which call, for the log. */
function namesOf({ id, params, scope }: FastifyRequest): Record<string, string | undefined> {
  return { requestId: id, callId: (params as { callId?: string } | null)?.callId, tenantId: scope?.tenantId };
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? url;
}

function sendError(reply: FastifyReply, request: FastifyRequest, error: ApiError): FastifyReply {
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  if (canReadToItsEnd(request)) reply.removeHeader('connection');
  else reply.header('connection', 'close');
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds);
  return reply
    .code(error.statusCode)
    .type('application/json; charset=utf-8')
    .send({ error: error.message, code: error.code, requestId: request.id, ...error.fields });
}

/** A refused body up to this size is read, and thrown away. */
const MAX_WASTED_BYTES = 64 * 1024 * 1024;

/**
 * Fastify closes the connection of a body it refuses. Where the client still sends, that resets the connection, and the
 * client may never read why; so what is bounded is let in.
 */
function canReadToItsEnd({ raw }: FastifyRequest): boolean {
  if (raw.complete) return true;
  const { 'content-length': length, 'transfer-encoding': encoding } = raw.headers;
  return encoding === undefined && Number(length ?? 0) <= MAX_WASTED_BYTES;
}

function toApiError(error: FastifyError | ApiError | CallError, request: FastifyRequest): ApiError {
  if (error instanceof ApiError) return error;
  return error instanceof CallError ? fromCallError(error) : fromFastify(error, request);
}

/** Fastify's own refusals, in our words. */
function fromFastify(error: FastifyError, request: FastifyRequest): ApiError {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiError(
        'body_too_large',
        `the body is larger than ${sizeOf(request.routeOptions.bodyLimit)} (${request.routeOptions.bodyLimit} bytes)`,
        { cause: error },
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiError('unsupported_media_type', mediaTypeSentence(request), { cause: error });
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new ApiError('invalid_json', 'the body is empty, but must be JSON', { cause: error });
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new ApiError('invalid_json', 'the body is not valid JSON', { cause: error });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ApiError('bad_request', 'Content-Length does not match the body', { cause: error });
  }
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) return new ApiError('bad_request', error.message, { cause: error });
  return new ApiError('internal', 'the gateway failed to answer; its log has the reason under this requestId', {
    cause: error,
  });
}

function sizeOf(bytes: number): string {
  return bytes < 1_048_576 ? `${bytes / 1024} kB` : `${bytes / 1_048_576} MB`;
}

function mediaTypeSentence({ headers, routeOptions }: FastifyRequest): string {
  const type = headers['content-type'];
  const found = type === undefined ? 'Content-Type is missing' : `Content-Type is ${quote(type)}`;
  const audio = routeOptions.config.takesAudio ? `, or for unencoded audio one of ${RAW_AUDIO_TYPES.join(', ')}` : '';
  return `${found}, but must be application/json${audio}`;
}
