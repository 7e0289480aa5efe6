import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, quote } from './errors.ts';

/** Makes every failure an answer of one shape, and lets nothing internal out. */
export function installErrorHandling(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | ApiError, request, reply) => {
    const apiError = error instanceof ApiError ? error : fromFastify(error, request);
    if (apiError.code === 'internal') request.log.error({ err: error }, 'request failed');
    else if (apiError.statusCode >= 500) request.log.warn({ err: error }, 'request refused');
    return sendError(reply, request, apiError);
  });
  app.setNotFoundHandler((request, reply) =>
    sendError(
      reply,
      request,
      new ApiError('not_found', `there is no ${request.method} ${quote(request.url.split('?')[0])}; see /docs`),
    ),
  );
}

function sendError(reply: FastifyReply, request: FastifyRequest, error: ApiError): FastifyReply {
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds);
  return reply
    .code(error.statusCode)
    .type('application/json; charset=utf-8')
    .send({ error: error.message, code: error.code, requestId: request.id, ...error.fields });
}

/** Fastify's own refusals, in our words. */
function fromFastify(error: FastifyError, request: FastifyRequest): ApiError {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiError('body_too_large', 'the body is larger than 10 MB', { cause: error });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiError(
        'unsupported_media_type',
        `Content-Type is ${quote(request.headers['content-type'])}, but must be application/json or an audio type of /docs`,
        { cause: error },
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new ApiError('invalid_json', 'the body is empty, but must be JSON', { cause: error });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ApiError('invalid_field', 'Content-Length does not match the body', { cause: error });
  }
  const status = error.statusCode ?? 500;
  if (error instanceof SyntaxError || error.name === 'SyntaxError') {
    return new ApiError('invalid_json', `the body is not JSON: ${error.message}`, { cause: error });
  }
  if (status >= 400 && status < 500) return new ApiError('invalid_field', error.message, { cause: error });
  return new ApiError('internal', 'the gateway failed to answer; its log has the reason under this requestId', {
    cause: error,
  });
}
