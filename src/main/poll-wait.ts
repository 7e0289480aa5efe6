/** Why a poll's wait ended. */
export type WaitEnd = 'woken' | 'timeout' | 'superseded' | 'gone';

/** The one poll of a call that may wait. A later one takes its place. */
export class PollWait {
  #end: ((why: WaitEnd) => void) | undefined;

  get isWaiting(): boolean {
    return this.#end !== undefined;
  }

  /** Ends the wait of an earlier poll. */
  supersede(): void {
    this.#end?.('superseded');
  }

  /** Resolves when `wake` is called, another poll comes, `signal` aborts, or `timeoutMs` is over. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<WaitEnd> {
    if (signal.aborted) return Promise.resolve('gone');
    if (timeoutMs <= 0) return Promise.resolve('timeout');
    return new Promise((resolve) => {
      const end = (why: WaitEnd) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        if (this.#end === end) this.#end = undefined;
        resolve(why);
      };
      const onAbort = () => end('gone');
      const timer = setTimeout(end, timeoutMs, 'timeout' as const);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#end = end;
    });
  }

  /** Lets the poll that waits answer. */
  wake(): void {
    this.#end?.('woken');
  }
}
