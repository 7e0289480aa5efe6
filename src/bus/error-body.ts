import { inspect } from 'node:util';
import { BusError } from './error.ts';
import { type ErrorCode, isErrorCode, Status } from './status.ts';

/** How a {@link BusError} crosses the port: plain data only, so that no thrown value can fail to be cloned. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  /** Where the error was raised, in the thread that raised it. */
  stack?: string;
  details?: unknown;
  cause?: CauseBody;
}

/** An error of a cause chain, or the text of anything else that was given as a cause. */
export type CauseBody = string | { name: string; message: string; stack?: string; code?: string; cause?: CauseBody };

/** A chain longer than this is cut: it is either circular or no longer explains anything. */
const MAX_CAUSES = 8;

/** Describes `error` as plain data. Only `details` can make the result impossible to clone. */
export function toErrorBody(error: BusError): ErrorBody {
  const body: ErrorBody = { code: error.code, message: error.message };
  if (error.stack !== undefined) body.stack = error.stack;
  if (error.details !== undefined) body.details = error.details;
  const cause = describeCause(error.cause, MAX_CAUSES);
  if (cause !== undefined) body.cause = cause;
  return body;
}

/** Rebuilds the error that {@link toErrorBody} described; causes come back as `Error`s with their names and stacks. */
export function fromErrorBody(body: ErrorBody): BusError {
  const cause = body.cause === undefined ? {} : { cause: reviveCause(body.cause) };
  const error = new BusError(isErrorCode(body.code) ? body.code : Status.Unknown, String(body.message), {
    details: body.details,
    ...cause,
  });
  // Ours would end in the port's message listener; the raiser's says where the failure is.
  if (body.stack !== undefined) error.stack = body.stack;
  return error;
}

function describeCause(cause: unknown, left: number): CauseBody | undefined {
  if (cause === undefined || left === 0) return undefined;
  if (typeof cause === 'string') return cause;
  if (!(cause instanceof Error)) return inspect(cause, { depth: 2, breakLength: Infinity });
  const body: CauseBody = { name: String(cause.name), message: String(cause.message) };
  if (cause.stack !== undefined) body.stack = String(cause.stack);
  if ('code' in cause && cause.code !== undefined) body.code = String(cause.code);
  const next = describeCause(cause.cause, left - 1);
  if (next !== undefined) body.cause = next;
  return body;
}

function reviveCause(body: CauseBody): Error | string {
  if (typeof body !== 'object' || body === null) return String(body);
  const error = new Error(body.message, body.cause === undefined ? undefined : { cause: reviveCause(body.cause) });
  Object.defineProperty(error, 'name', { value: body.name, configurable: true, writable: true });
  if (body.stack !== undefined) error.stack = body.stack;
  return body.code === undefined ? error : Object.assign(error, { code: body.code });
}
