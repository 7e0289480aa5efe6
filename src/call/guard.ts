/**
 * Stands where callbacks enter a call: the bus, the audio pool, timers, answers that were written. What one of them
 * throws ends that call, and leaves the daemon and every other call alone.
 */
export class CallGuard {
  readonly #onDefect: (error: Error) => void;
  #hasFailed = false;

  /** @param onDefect told of the first error only: what follows from it says nothing new */
  constructor(onDefect: (error: Error) => void) {
    this.#onDefect = onDefect;
  }

  /** Runs a callback; undefined when it throws. */
  run<T>(callback: () => T): T | undefined {
    try {
      return callback();
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  /** Follows what nobody awaits. */
  watch(promise: Promise<unknown>): void {
    promise.catch((error: unknown) => this.failed(error));
  }

  /** Something of this call has thrown elsewhere. */
  failed(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#onDefect(error instanceof Error ? error : new Error(String(error)));
  }
}
