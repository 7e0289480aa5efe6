import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type ApiErrorCode, FAILURES } from './failures.ts';

/** What Node says of a connection that fails; llhttp gives a reason in words. */
interface ConnectionError extends NodeJS.ErrnoException {
  readonly reason?: string;
}

/** Answers what is not HTTP, or comes too slowly, on the bare socket, in the shape of every other error. */
export function answerClientError(this: FastifyInstance, error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET') return;
  this.log.debug({ code: error.code, reason: error.reason, clientAddress: socket.remoteAddress }, 'connection refused');
  if (socket.destroyed) return;
  // Behind an answer, or the beginning of one, another to the same request cannot follow.
  if (isAnswered(socket) || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const { code, sentence } = describe(error);
  const status = FAILURES[code].status;
  const requestId = randomUUID();
  const body = JSON.stringify({ error: sentence, code, requestId });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** What Node keeps at a socket: the answer to be written next, and the request that was read last. */
interface HttpSocket extends Socket {
  readonly _httpMessage?: { readonly headersSent: boolean } | null;
  readonly parser?: { readonly incoming?: { readonly complete: boolean } | null } | null;
}

function isAnswered({ _httpMessage: answer, parser }: HttpSocket): boolean {
  return answer ? answer.headersSent : parser?.incoming?.complete === false;
}

function describe({ code, reason }: ConnectionError): { code: ApiErrorCode; sentence: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'headers_too_large', sentence: 'the request line and headers are larger than 16 kB' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'request_timeout', sentence: 'the request did not arrive in time' };
    case 'HPE_INVALID_EOF_STATE':
      return { code: 'bad_request', sentence: 'the connection ended in the middle of the request' };
    default:
      return { code: 'bad_request', sentence: `the request is not valid HTTP/1.1${reason ? `: ${reason}` : ''}` };
  }
}
