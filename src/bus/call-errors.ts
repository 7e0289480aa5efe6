import { BusError } from './error.ts';
import { type ErrorCode, Status } from './status.ts';

// The errors that the bus itself ends calls with. Each names the method: the error may surface far from the call.

export function expired(method: string): BusError {
  return new BusError(Status.DeadlineExceeded, `${method}: not done by its deadline`);
}

/** Given up by the caller, who may have said why. */
export function cancelled(method: string, reason?: unknown): BusError {
  if (reason === undefined) return new BusError(Status.Cancelled, `${method}: cancelled by the caller`);
  return new BusError(Status.Cancelled, `${method}: cancelled: ${BusError.from(reason).message}`, { cause: reason });
}

/** A signal that ran out of time says so; any other abort is a cancellation. */
export function aborted(method: string, signal: AbortSignal): BusError {
  const { reason } = signal;
  const error = BusError.from(reason);
  if (error.code !== Status.DeadlineExceeded) return cancelled(method, reason);
  return new BusError(Status.DeadlineExceeded, `${method}: ${error.message}`, { cause: reason });
}

/** The port is closed, for the reason that `cause` gives. */
export function lost(method: string, cause: BusError): BusError {
  return new BusError(Status.Unavailable, `${method}: ${cause.message}`, { cause });
}

/** What was to be sent cannot be cloned, or not transferred: the sender's fault, whose `code` depends on who that is. */
export function unsendable(code: ErrorCode, method: string, what: string, cause: unknown): BusError {
  return new BusError(code, `${method}: ${what} cannot be sent: ${BusError.from(cause).message}`, { cause });
}
