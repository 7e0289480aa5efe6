/** Whether a client that waits for an answer has gone. Lighter than an `AbortSignal`, of which ten a second and call count. */
export interface Departure {
  readonly isGone: boolean;
  /** Tells when it goes, from now on to this one alone; undefined: to nobody. */
  watch(onGone: (() => void) | undefined): void;
}

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

  /** Resolves when `wake` is called, another poll comes, the client goes, or `timeoutMs` is over. */
  wait(timeoutMs: number, client: Departure): Promise<WaitEnd> {
    if (client.isGone) return Promise.resolve('gone');
    if (timeoutMs <= 0) return Promise.resolve('timeout');
    return new Promise((resolve) => {
      const end = (why: WaitEnd) => {
        clearTimeout(timer);
        client.watch(undefined);
        if (this.#end === end) this.#end = undefined;
        resolve(why);
      };
      const timer = setTimeout(end, timeoutMs, 'timeout' as const);
      client.watch(() => end('gone'));
      this.#end = end;
    });
  }

  /** Lets the poll that waits answer. */
  wake(): void {
    this.#end?.('woken');
  }
}
