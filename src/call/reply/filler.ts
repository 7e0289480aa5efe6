import type { CallGuard } from '../guard.ts';
import type { ReplyFrame } from './downlink.ts';

/** How long a caller who waits for an answer hears nothing before the filler begins. */
export const FILLER_AFTER_MS = 1_500;
/** The filler is queued in pieces as it plays, so that little of it stands before the answer when that comes. */
const PIECE_MS = 600;
const AHEAD_MS = 1_200;

export interface CallFillerOptions {
  readonly guard: CallGuard;
  readonly load: () => Promise<readonly ReplyFrame[]>;
  /** Queues frames for the client, as an item of their own. */
  readonly play: (itemId: string, frames: readonly ReplyFrame[]) => void;
  /** Milliseconds of audio that the caller has yet to hear. */
  readonly remainingMs: () => number;
  readonly onStarted: () => void;
  readonly onFailed: (error: Error) => void;
  /** Default {@link FILLER_AFTER_MS}. */
  readonly afterMs?: number | undefined;
}

/** Plays a recording, once an outage, to a caller who would otherwise wait in silence. */
export class CallFiller {
  readonly #options: CallFillerOptions;
  #timer: NodeJS.Timeout | undefined;
  #outages = 0;

  constructor(options: CallFillerOptions) {
    this.#options = options;
  }

  /** The connection was lost while the caller waits for an answer. */
  await(): void {
    this.stop();
    this.#outages += 1;
    this.#waitForSilence(this.#outages);
  }

  /** The answer is there, or the caller spoke, or the call is over: what is queued plays, and no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #waitForSilence(outage: number): void {
    const { guard, remainingMs, afterMs = FILLER_AFTER_MS } = this.#options;
    this.#timer = setTimeout(() => {
      // What is still being said is no silence, and it takes the client time to fetch it.
      if (remainingMs() > 0) this.#waitForSilence(outage);
      else guard.watch(this.#start(outage));
    }, remainingMs() + afterMs);
  }

  async #start(outage: number): Promise<void> {
    const { load, onStarted, onFailed } = this.#options;
    const armed = this.#timer;
    try {
      const frames = await load();
      if (armed === undefined || this.#timer !== armed) return;
      onStarted();
      this.#play(`filler_${outage}`, frames, 0, AHEAD_MS);
    } catch (error) {
      onFailed(error as Error);
    }
  }

  #play(itemId: string, frames: readonly ReplyFrame[], from: number, durationMs: number): void {
    let to = from;
    for (let ms = 0; to < frames.length && ms < durationMs; to++) ms += frames[to]!.frameMs;
    const { guard, play } = this.#options;
    play(itemId, frames.slice(from, to));
    const next = () => guard.run(() => this.#play(itemId, frames, to, PIECE_MS));
    this.#timer = to < frames.length ? setTimeout(next, PIECE_MS) : undefined;
  }
}
