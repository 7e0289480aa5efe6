import type { CallOptions, UnaryCall } from './client.ts';
import { ClientCall } from './client-call.ts';
import type { BusError } from './error.ts';

/** A call that sends one request and gets one answer: a promise, to its caller. */
export class UnaryClientCall extends ClientCall {
  #resolve!: (answer: unknown) => void;
  #reject!: (error: BusError) => void;

  start(request: unknown, options: CallOptions | undefined): UnaryCall<unknown> {
    const call = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    }) as UnaryCall<unknown>;
    call.cancel = (reason) => this.cancel(reason);
    this.open(request, options);
    return call;
  }

  protected override settled(error: BusError | undefined, answer: unknown): void {
    if (error === undefined) this.#resolve(answer);
    else this.#reject(error);
  }

  // Nothing streams here: a server that thinks otherwise has another definition of the method.

  override receiveItem(): void {}

  override receiveGrant(): void {}
}
