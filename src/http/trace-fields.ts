import type { IncomingHttpHeaders } from 'node:http';
import type { CreateBody } from './schemas.ts';

/** A body with the W3C Trace Context of its request's headers, unless it has its own. */
export function withTrace(body: CreateBody, headers: IncomingHttpHeaders): CreateBody {
  const { traceparent, tracestate } = headers;
  if (body.traceparent !== undefined || typeof traceparent !== 'string') return body;
  return { ...body, traceparent, ...(typeof tracestate === 'string' ? { tracestate } : {}) };
}
