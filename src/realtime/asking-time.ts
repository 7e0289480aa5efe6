import type { ResponseTimes } from './response-times.ts';

/** What becomes of the times at which nothing is asked for. */
export interface AskingTimeListener {
  /** The server had time for a response of its own to a turn, and began none. */
  onServerSilent(): void;
  /** Something may be asked for again. */
  onOpen(): void;
}

/** Says when a response may be asked for: not while the caller speaks, nor while the server may begin one by itself. */
export class AskingTime {
  readonly #times: Pick<ResponseTimes, 'serverMs' | 'speechMs'>;
  readonly #listener: AskingTimeListener;
  #isHeld = false;
  #holdTimer: NodeJS.Timeout | undefined;
  #serverTimer: NodeJS.Timeout | undefined;

  constructor(times: Pick<ResponseTimes, 'serverMs' | 'speechMs'>, listener: AskingTimeListener) {
    this.#times = times;
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return !this.#isHeld && this.#serverTimer === undefined;
  }

  /** Whether a response of the server's own may begin. */
  get isServerExpected(): boolean {
    return this.#serverTimer !== undefined;
  }

  /** The caller speaks, for as long as anybody speaks at most. */
  hold(): void {
    this.stopExpecting();
    this.#isHeld = true;
    clearTimeout(this.#holdTimer);
    this.#holdTimer = setTimeout(() => this.release(false), this.#times.speechMs);
  }

  /** The caller stopped. With `serverResponds` the server gets time for a response of its own. */
  release(serverResponds: boolean): void {
    this.#unhold();
    if (serverResponds) this.expectServer();
    else this.#listener.onOpen();
  }

  /** A turn is over that the server will answer by itself. */
  expectServer(waitMs = this.#times.serverMs): void {
    this.stopExpecting();
    this.#serverTimer = setTimeout(() => {
      this.#serverTimer = undefined;
      this.#listener.onServerSilent();
      this.#listener.onOpen();
    }, waitMs);
  }

  /** The server's response has begun, or will not. */
  stopExpecting(): void {
    clearTimeout(this.#serverTimer);
    this.#serverTimer = undefined;
  }

  /** The connection is new: nothing said on the old one is waited for. */
  reset(): void {
    this.#unhold();
    this.stopExpecting();
  }

  /** Nothing may be asked for any more. */
  close(): void {
    this.reset();
    this.#isHeld = true;
  }

  #unhold(): void {
    this.#isHeld = false;
    clearTimeout(this.#holdTimer);
  }
}
