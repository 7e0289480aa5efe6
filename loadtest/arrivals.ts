/** What a stream was asked for. Milliseconds. */
export interface StreamPace {
  /** How far ahead of its playback audio is sent. */
  readonly leadMs: number;
  /** Audio that is sent at a time. */
  readonly frameMs: number;
}

/** Told how the stream keeps its schedule. */
export interface ArrivalListener {
  /** A frame was whole `lateMs` behind the schedule. */
  onFrame(lateMs: number): void;
  /** There was nothing to play for `gapMs`. */
  onUnderrun(gapMs: number): void;
}

/**
 * The client's end of a paced stream: it plays from the first byte on, and the frame that ends at `e` is due at
 * `start + e − lead`. Only the client's clock is known here, so the start is what the earliest frame says: one that comes
 * early moves it forward, and all are judged by the most punctual one.
 */
export class Arrivals {
  readonly #pace: StreamPace;
  readonly #listener: ArrivalListener;
  #startMs: number | undefined;
  #receivedMs = 0;
  /** Up to here frames fill the reserve: they are no schedule's. */
  #refilledAtMs: number;
  #nextFrameEndMs: number;

  constructor(pace: StreamPace, listener: ArrivalListener) {
    this.#pace = pace;
    this.#listener = listener;
    this.#refilledAtMs = pace.leadMs;
    this.#nextFrameEndMs = pace.frameMs;
  }

  /** Milliseconds of audio that have come. */
  get receivedMs(): number {
    return this.#receivedMs;
  }

  /** When the audio at `positionMs` of the stream is played. */
  playsAtMs(positionMs: number): number {
    return (this.#startMs ?? 0) + positionMs;
  }

  arrived(audioMs: number, nowMs: number): void {
    const { leadMs, frameMs } = this.#pace;
    let startMs = this.#startMs ?? nowMs;
    const gapMs = nowMs - startMs - this.#receivedMs;
    if (gapMs > 0) {
      startMs += gapMs;
      this.#refilledAtMs = this.#receivedMs + leadMs;
      this.#listener.onUnderrun(gapMs);
    }
    this.#receivedMs += audioMs;
    for (; this.#nextFrameEndMs <= this.#receivedMs; this.#nextFrameEndMs += frameMs) {
      if (this.#nextFrameEndMs <= this.#refilledAtMs) continue;
      const lateMs = nowMs - (startMs + this.#nextFrameEndMs - leadMs);
      if (lateMs < 0) startMs += lateMs;
      this.#listener.onFrame(Math.max(0, lateMs));
    }
    this.#startMs = startMs;
  }
}
