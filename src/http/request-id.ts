import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

const PRINTABLE = /^[\x21-\x7e]{1,128}$/;

/** The id of a request in its answer and in the log: the client's own `X-Request-ID`, where that is a plain word. */
export function requestIdOf({ headers }: { readonly headers: IncomingHttpHeaders }): string {
  const wanted = headers['x-request-id'];
  return typeof wanted === 'string' && PRINTABLE.test(wanted) ? wanted : randomUUID();
}
