import type { Transferable } from 'node:worker_threads';

/** A handler's answer together with what moves to the caller instead of being copied. Made by {@link withTransfer}. */
export class Transferred<T> {
  readonly value: T;
  readonly transfer: readonly Transferable[];

  constructor(value: T, transfer: readonly Transferable[]) {
    this.value = value;
    this.transfer = transfer;
  }
}

/**
 * Answers a call with `value` and moves the buffers (or ports) in `transfer` to the caller, leaving them detached here.
 * Worth it from a few kilobytes up; below that a copy is cheaper.
 */
export function withTransfer<T>(value: T, transfer: readonly Transferable[]): Transferred<T> {
  return new Transferred(value, transfer);
}
