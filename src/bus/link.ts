import type { Transferable } from 'node:worker_threads';
import type { BusError } from './error.ts';
import type { StatusCode } from './status.ts';
import type { Frame } from './wire.ts';

/** Which end of a call. */
export type Role = 'client' | 'server';

/** What a call needs of the peer it belongs to. */
export interface Link {
  /**
   * Posts one frame; on a closed port the frame is lost, as it would be in flight.
   * @throws a `DataCloneError` when the frame carries what cannot be cloned or transferred. Nothing was sent then.
   */
  send(frame: Frame, transfer?: readonly Transferable[]): void;
  /**
   * Posts a frame together with all others that are gathered in the same turn of microtasks.
   * @param onUnsendable told, perhaps later, that the frame cannot be cloned or transferred
   */
  gather(frame: Frame, transfer: readonly Transferable[] | undefined, onUnsendable: (cause: unknown) => void): void;
  /** Why the port is closed; `undefined` while it is open. */
  closeReason(): BusError | undefined;
  /** The time to give to {@link ended}: `performance.now()`, or 0 when nobody asked to be told. */
  startedAtMs(): number;
  /** The call is over at this end: forget it, and tell whoever asked to be told. */
  ended(role: Role, callId: number, method: string, code: StatusCode, startedAtMs: number): void;
}
