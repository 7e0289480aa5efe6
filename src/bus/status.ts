/**
 * The canonical gRPC status codes, as stable strings that read well in logs and as metric labels.
 *
 * There are no codes of our own: what a caller may do about a failure (retry, give up, fix its arguments) depends on
 * which of these it is, and seventeen well-known answers to that question are enough.
 * @see https://grpc.io/docs/guides/status-codes/
 */
export const Status = {
  /** The call succeeded. Never the code of an error. */
  Ok: 'OK',
  /** The caller gave the call up. */
  Cancelled: 'CANCELLED',
  /** The handler threw something that is not a {@link BusError}. */
  Unknown: 'UNKNOWN',
  /** The arguments are wrong whatever the state of the system; also a request that cannot be cloned. */
  InvalidArgument: 'INVALID_ARGUMENT',
  /** Time ran out; the work may or may not have been done. */
  DeadlineExceeded: 'DEADLINE_EXCEEDED',
  NotFound: 'NOT_FOUND',
  AlreadyExists: 'ALREADY_EXISTS',
  PermissionDenied: 'PERMISSION_DENIED',
  /** A quota, a buffer or a place in a queue is used up. */
  ResourceExhausted: 'RESOURCE_EXHAUSTED',
  /** The system is not in the state the call needs; retrying without changing that state is useless. */
  FailedPrecondition: 'FAILED_PRECONDITION',
  /** A conflict with something concurrent; retry at a higher level. */
  Aborted: 'ABORTED',
  OutOfRange: 'OUT_OF_RANGE',
  /** No such service or method at the other end. */
  Unimplemented: 'UNIMPLEMENTED',
  /** An invariant broke; also an answer that cannot be cloned. */
  Internal: 'INTERNAL',
  /** The other end is gone, or not there yet: the call may be retried, elsewhere. */
  Unavailable: 'UNAVAILABLE',
  DataLoss: 'DATA_LOSS',
  Unauthenticated: 'UNAUTHENTICATED',
} as const;

/** Any of the canonical codes, `'OK'` included: how a call can end. */
export type StatusCode = (typeof Status)[keyof typeof Status];

/** A code that an error can carry. */
export type ErrorCode = Exclude<StatusCode, 'OK'>;

const errorCodes: ReadonlySet<unknown> = new Set(Object.values(Status).filter((code) => code !== Status.Ok));

/** Whether `value` is one of the codes that an error can carry. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return errorCodes.has(value);
}
