/**
 * The caller's ear: plays what arrives in real time behind a jitter buffer, and notices when it runs dry in the middle of
 * a reply.
 */
export class Playout {
  readonly #jitterMs: number;
  readonly #pauseMs: number;
  #endsAtMs: number | undefined;
  #receivedMs = 0;
  #gaps = 0;
  #gapMs = 0;

  /**
   * @param jitterMs how long the first audio of a reply waits before it is played
   * @param pauseMs silence longer than this lies between two replies and is no gap; `Infinity`: all silence is a gap
   */
  constructor(jitterMs: number, pauseMs: number) {
    this.#jitterMs = jitterMs;
    this.#pauseMs = pauseMs;
  }

  /** Times that a reply stopped and went on. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Milliseconds of silence in them. */
  get gapMs(): number {
    return this.#gapMs;
  }

  /** Audio has arrived. Returns the milliseconds of the gap that it ends; 0: there was none. */
  arrive(audioMs: number, nowMs: number): number {
    this.#receivedMs += audioMs;
    const endedAtMs = this.#endsAtMs;
    if (endedAtMs !== undefined && nowMs <= endedAtMs) {
      this.#endsAtMs = endedAtMs + audioMs;
      return 0;
    }
    this.#endsAtMs = nowMs + this.#jitterMs + audioMs;
    if (endedAtMs === undefined) return 0;
    // The buffer fills again before it goes on: that is heard as well.
    const silenceMs = nowMs - endedAtMs + this.#jitterMs;
    if (nowMs - endedAtMs > this.#pauseMs) return 0;
    this.#gaps += 1;
    this.#gapMs += silenceMs;
    return silenceMs;
  }

  /** Milliseconds that are still to be played. */
  remainingMs(nowMs: number): number {
    return Math.max(0, (this.#endsAtMs ?? 0) - nowMs);
  }

  /** Milliseconds of what has arrived since the last flush that have been played. */
  playedMs(nowMs: number): number {
    return Math.max(0, this.#receivedMs - this.remainingMs(nowMs));
  }

  /** The reply was interrupted: what is left of it is not played. */
  flush(): void {
    this.#endsAtMs = undefined;
    this.#receivedMs = 0;
  }
}
