import { cancelled, lost, unsendable } from './call-errors.ts';
import type { CallOptions, Cancellable } from './client.ts';
import type { BusError } from './error.ts';
import { type ErrorBody, fromErrorBody } from './error-body.ts';
import type { Link } from './link.ts';
import { RpcLimits } from './rpc-limits.ts';
import { Status } from './status.ts';
import { type CallFrame, Tag } from './wire.ts';

/**
 * One call at the end that makes it, from its first frame to its outcome. Whatever ends it first, the server's word or
 * ours, settles it; everything that arrives later is dropped.
 *
 * What its caller holds, a promise or streams, is the business of the subclasses.
 */
export abstract class ClientCall implements Cancellable {
  protected readonly link: Link;
  protected readonly id: number;
  protected readonly method: string;
  readonly #startedAtMs: number;
  #limits: RpcLimits | undefined;
  #sent = false;
  #settled = false;

  constructor(link: Link, id: number, method: string) {
    this.link = link;
    this.id = id;
    this.method = method;
    this.#startedAtMs = link.startedAtMs();
  }

  /**
   * Hands the outcome to the caller, once. `answer` counts when there is no error. A `remote` outcome is the server's
   * word, which comes after the items that the server sent before it.
   */
  protected abstract settled(error: BusError | undefined, answer: unknown, remote: boolean): void;

  abstract receiveItem(item: unknown, weight: number): void;

  abstract receiveGrant(credit: number): void;

  cancel(reason?: unknown): void {
    if (!this.#settled) this.abandon(cancelled(this.method, reason));
  }

  receiveAnswer(answer: unknown): void {
    this.#settle(undefined, answer, true);
  }

  receiveFailure(body: ErrorBody): void {
    this.#settle(fromErrorBody(body), undefined, true);
  }

  /** The port is closed: no answer can come any more. */
  lost(cause: BusError): void {
    this.#settle(lost(this.method, cause), undefined, false);
  }

  /** Whether the call is over. */
  protected get isSettled(): boolean {
    return this.#settled;
  }

  /** Sends the request. Never throws: what prevents the call is its outcome. Streams come with their windows. */
  protected open(request: unknown, options: CallOptions | undefined, upWindow?: number, downWindow?: number): void {
    const closeReason = this.link.closeReason();
    if (closeReason !== undefined) {
      this.lost(closeReason);
      return;
    }
    if (options !== undefined) {
      this.#limits = new RpcLimits(this.method, (error) => this.abandon(error));
      const refusal = this.#limits.impose(options);
      if (refusal !== undefined) {
        this.abandon(refusal);
        return;
      }
    }
    const deadlineMs = this.#limits?.deadlineMs ?? 0;
    const frame: CallFrame = [Tag.Call, this.id, this.method, request];
    if (upWindow !== undefined || downWindow !== undefined) frame.push(deadlineMs, upWindow, downWindow);
    else if (deadlineMs > 0) frame.push(deadlineMs);
    try {
      this.link.send(frame, options?.transfer);
      this.#sent = true;
    } catch (cause) {
      this.abandon(unsendable(Status.InvalidArgument, this.method, 'the request', cause));
    }
  }

  /** Gives the call up from here and lets the server know. */
  protected abandon(error: BusError): void {
    if (this.#settled) return;
    if (this.#sent) this.link.send([Tag.Cancel, this.id, error.code, error.message]);
    this.#settle(error, undefined, false);
  }

  #settle(error: BusError | undefined, answer: unknown, remote: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#limits?.lift();
    this.link.ended('client', this.id, this.method, error?.code ?? Status.Ok, this.#startedAtMs);
    this.settled(error, answer, remote);
  }
}
