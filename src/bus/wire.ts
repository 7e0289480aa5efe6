/**
 * What crosses the port.
 *
 * Every message is one short array, a *frame*: `[tag, callId, …]`. Arrays of small integers and the caller's own values
 * are what structured clone copies fastest, since property names need neither be written nor looked up. One frame is one
 * `postMessage`: nothing waits for company, and a value that cannot be cloned fails its own call only. The exception are
 * the items of streams whose definition has `gather`: those written in one turn of microtasks share a message, a *batch*,
 * because a message costs more than a small item in it. They wait for nobody either.
 *
 * Both ends are client and server at once and each numbers the calls it makes from 1 up, so a number alone names two
 * calls. The tag settles which: every frame is either a client's or a server's.
 *
 * The life of a call, as the client sends and the server sends:
 *
 *     Call, (ClientItem | ClientGrant)*, ClientEnd?        Cancel at any time, and the call is over
 *     (ServerItem | ServerGrant)*, (Answer | Failure)      either of the last, and the call is over
 *
 * Frames of a call that is over are dropped on arrival: they crossed its end on their way.
 */
import type { ErrorBody } from './error-body.ts';
import { type ErrorCode, isErrorCode } from './status.ts';

export const Tag = {
  Call: 1,
  ClientItem: 2,
  ClientEnd: 3,
  ClientGrant: 4,
  Cancel: 5,
  Answer: 6,
  Failure: 7,
  ServerItem: 8,
  ServerGrant: 9,
  Bye: 10,
  Batch: 11,
} as const;

/**
 * Opens a call of `method` (`"service.method"`). `deadline` is on the process-wide monotonic clock in milliseconds, 0
 * for none. The windows are the credit each direction starts with: up is client to server, down is server to client.
 * Trailing elements that say nothing are left off.
 */
export type CallFrame = [
  tag: typeof Tag.Call,
  callId: number,
  method: string,
  request: unknown,
  deadline?: number,
  upWindow?: number | undefined,
  downWindow?: number | undefined,
];

/** One item of a stream. The writer's weight travels with it, so that the reader returns exactly what was spent. */
export type ItemFrame = [
  tag: typeof Tag.ClientItem | typeof Tag.ServerItem,
  callId: number,
  item: unknown,
  /** Absent: 1. */
  weight?: number,
];

/** The client has sent its last item. */
export type ClientEndFrame = [tag: typeof Tag.ClientEnd, callId: number];

/** The sender has consumed items of this total weight: the other end may send as much again. */
export type GrantFrame = [tag: typeof Tag.ClientGrant | typeof Tag.ServerGrant, callId: number, credit: number];

/** The client no longer wants the call; the server need not answer. */
export type CancelFrame = [tag: typeof Tag.Cancel, callId: number, code: ErrorCode, message: string];

/** The call succeeded: with its answer, or, where the server streams, with the end of the stream (no value). */
export type AnswerFrame = [tag: typeof Tag.Answer, callId: number, value?: unknown];

export type FailureFrame = [tag: typeof Tag.Failure, callId: number, error: ErrorBody];

/** The sender closes. The port's own `close` event says so too, but not where the other end of the port is a `Worker`. */
export type ByeFrame = [tag: typeof Tag.Bye, callId: 0, reason: string];

export type Frame =
  | CallFrame
  | ItemFrame
  | ClientEndFrame
  | GrantFrame
  | CancelFrame
  | AnswerFrame
  | FailureFrame
  | ByeFrame;

/** Frames of one turn, in order. */
export type BatchMessage = [tag: typeof Tag.Batch, callId: 0, frames: readonly unknown[]];

/** Whether `message` has the shape of the frame its tag names. What fails was not sent by a peer of this version. */
export function isFrame(message: unknown): message is Frame | BatchMessage {
  if (!Array.isArray(message) || typeof message[1] !== 'number') return false;
  switch (message[0]) {
    case Tag.Call:
      return (
        typeof message[2] === 'string' &&
        isCreditOrAbsent(message[5]) &&
        isCreditOrAbsent(message[6]) &&
        (message[4] === undefined || typeof message[4] === 'number')
      );
    case Tag.ClientItem:
    case Tag.ServerItem:
      return message[3] === undefined || (typeof message[3] === 'number' && message[3] >= 0);
    case Tag.ClientGrant:
    case Tag.ServerGrant:
      return typeof message[2] === 'number' && message[2] > 0;
    case Tag.Failure:
      return typeof message[2] === 'object' && message[2] !== null;
    case Tag.Cancel:
      return isErrorCode(message[2]) && typeof message[3] === 'string';
    case Tag.Batch:
      return Array.isArray(message[2]);
    case Tag.ClientEnd:
    case Tag.Answer:
    case Tag.Bye:
      return true;
    default:
      return false;
  }
}

function isCreditOrAbsent(value: unknown): boolean {
  return value === undefined || (typeof value === 'number' && value > 0);
}
