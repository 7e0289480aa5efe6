import type { ServerResponse } from 'node:http';
import type { Departure } from '../call/reply/poll-wait.ts';

/** Notices when the client of a request goes away before it has its answer. */
export class ClientWatch implements Departure {
  readonly #response: ServerResponse;
  readonly #onClose = () => this.#onGone?.();
  #onGone: (() => void) | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.once('close', this.#onClose);
  }

  get isGone(): boolean {
    return this.#response.destroyed;
  }

  watch(onGone: (() => void) | undefined): void {
    this.#onGone = onGone;
  }

  /** The request is about to be answered. */
  end(): void {
    this.#response.off('close', this.#onClose);
  }
}
