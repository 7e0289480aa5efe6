import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** An upgrade that is answered with an HTTP status instead of 101. */
export interface Refusal {
  status: number;
  code: string | null;
  message: string;
  type?: string;
  retryAfterSeconds?: number;
}

/** What the service demands of an upgrade request. */
export interface HandshakeRules {
  apiKeys: readonly string[] | undefined;
  requireAuth: boolean;
  /** A key as bearer is none: only Entra tokens come that way. */
  isAzure: boolean;
}

/** Why the request is refused, if it is. */
export function refusalOf(request: IncomingMessage, url: URL, rules: HandshakeRules): Refusal | undefined {
  if (!/^\/(openai\/)?v1\/realtime\/?$/.test(url.pathname)) {
    return { status: 404, code: null, message: `Invalid URL (GET ${url.pathname})` };
  }
  const refusal = refusedKey(request, rules);
  if (refusal) return refusal;
  const model = url.searchParams.get('model');
  if (!model) {
    return { status: 400, code: 'missing_model', message: 'You must provide a model parameter.' };
  }
  if (model.startsWith('unknown-')) {
    const message = `The model \`${model}\` does not exist or you do not have access to it.`;
    return { status: 404, code: 'model_not_found', message };
  }
  return undefined;
}

function refusedKey(request: IncomingMessage, rules: HandshakeRules): Refusal | undefined {
  const { apiKeys, requireAuth, isAzure } = rules;
  const { authorization, 'api-key': azureKey } = request.headers;
  const bearer = /^Bearer (\S+)$/.exec(authorization ?? '')?.[1];
  const key = typeof azureKey === 'string' ? azureKey : bearer;
  if (isAzure && requireAuth && azureKey === undefined && !isEntraToken(bearer)) {
    const message =
      'Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription.';
    return { status: 401, code: '401', message };
  }
  if (key === undefined) {
    if (!requireAuth) return undefined;
    const message = 'Missing bearer or basic authentication in header';
    return { status: 401, code: null, message };
  }
  if (!apiKeys || apiKeys.includes(key)) return undefined;
  return { status: 401, code: 'invalid_api_key', message: 'Incorrect API key provided.' };
}

/** Whether it looks like a JSON Web Token, which those of Entra are. */
function isEntraToken(bearer: string | undefined): boolean {
  return bearer !== undefined && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(bearer);
}

/** What a fault that refuses with `status` says. */
export function refusalOfStatus(status: number, retryAfterSeconds?: number): Refusal {
  const known: Record<number, [code: string | null, message: string, type?: string]> = {
    401: ['invalid_api_key', 'Incorrect API key provided.'],
    403: [null, 'Your project does not have access to this model.'],
    404: ['model_not_found', 'The model does not exist or you do not have access to it.'],
    429: ['rate_limit_exceeded', 'Rate limit reached for realtime connections.', 'requests'],
  };
  const [code, message, type = 'invalid_request_error'] = known[status] ?? [
    null,
    'The server had an error while processing your request. Sorry about that!',
    'server_error',
  ];
  return { status, code, message, type, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
}

/** Answers an upgrade request with an error, as HTTP. */
export function refuse(socket: Duplex, refusal: Refusal): void {
  const { status, code, message, type = 'invalid_request_error', retryAfterSeconds } = refusal;
  const body = JSON.stringify({ error: { message, type, param: null, code } });
  const retryAfter = retryAfterSeconds === undefined ? '' : `Retry-After: ${retryAfterSeconds}\r\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `${retryAfter}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
