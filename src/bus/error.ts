import { inspect } from 'node:util';
import { type ErrorCode, Status } from './status.ts';

export interface BusErrorOptions {
  /** What led to this error; for logs. Crosses the port as a plain description, see `error-body.ts`. */
  cause?: unknown;
  /** Plain, structured-cloneable data for the caller's program (not for its log). Crosses the port as it is. */
  details?: unknown;
}

/**
 * The one error of the bus: whatever goes wrong in a call, its caller gets a `BusError` and decides by `code`.
 *
 * A handler throws one to say how its call failed; `code`, `message` and `details` reach the caller unchanged.
 */
export class BusError extends Error {
  readonly code: ErrorCode;
  /** `undefined` unless the thrower gave some. */
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: BusErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details;
  }

  /**
   * Makes a `BusError` of anything that was thrown: a `BusError` is returned as it is, the abort and timeout errors of
   * the platform (`AbortSignal`) become CANCELLED and DEADLINE_EXCEEDED, and everything else gets `code` (UNKNOWN by
   * default), its own message, and the original as `cause`.
   */
  static from(reason: unknown, code: ErrorCode = Status.Unknown): BusError {
    if (reason instanceof BusError) return reason;
    if (reason instanceof Error) {
      const { name, message } = reason;
      if (name === 'AbortError') return new BusError(Status.Cancelled, message, { cause: reason });
      if (name === 'TimeoutError') return new BusError(Status.DeadlineExceeded, message, { cause: reason });
      return new BusError(code, message || name, { cause: reason });
    }
    const text = typeof reason === 'string' ? reason : inspect(reason, { depth: 1, breakLength: Infinity });
    return new BusError(code, text, { cause: reason });
  }
}

// On the prototype, as the platform's own errors have it: an own property would be printed with every error logged.
Object.defineProperty(BusError.prototype, 'name', { value: 'BusError', configurable: true, writable: true });
