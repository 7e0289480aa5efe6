import type { CallGuard } from '../guard.ts';
import type { CallObserver } from '../record/observer.ts';
import type { ReplyFrame } from './downlink.ts';

/** How long a caller who waits for an answer hears nothing before the filler begins. */
export const FILLER_AFTER_MS = 1_500;
/** The filler is queued in pieces as it plays, so that little of it stands before the answer when that comes. */
const PIECE_MS = 600;
const AHEAD_MS = 1_200;

/** Where a filler comes from. */
export interface FillerSource {
  load(): Promise<readonly ReplyFrame[]>;
  /** Of silence, before it begins; default {@link FILLER_AFTER_MS}. */
  readonly afterMs?: number | undefined;
}

/** Where it is played. */
export interface FillerStage {
  /** Milliseconds of audio that the caller has yet to hear. */
  readonly remainingMs: number;
  /** Queues frames for the client, as an item of their own. */
  playSound(itemId: string, frames: readonly ReplyFrame[]): void;
}

/** Plays a recording, once an outage, to a caller who would otherwise wait in silence. */
export class CallFiller {
  readonly #source: FillerSource;
  readonly #stage: FillerStage;
  readonly #observer: Pick<CallObserver, 'fillerStarted' | 'fillerFailed'>;
  readonly #guard: CallGuard;
  #timer: NodeJS.Timeout | undefined;
  #outages = 0;

  constructor(
    source: FillerSource,
    stage: FillerStage,
    observer: Pick<CallObserver, 'fillerStarted' | 'fillerFailed'>,
    guard: CallGuard,
  ) {
    this.#source = source;
    this.#stage = stage;
    this.#observer = observer;
    this.#guard = guard;
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
    const { afterMs = FILLER_AFTER_MS } = this.#source;
    this.#timer = setTimeout(() => {
      // What is still being said is no silence, and it takes the client time to fetch it.
      if (this.#stage.remainingMs > 0) this.#waitForSilence(outage);
      else this.#guard.watch(this.#start(outage));
    }, this.#stage.remainingMs + afterMs);
  }

  async #start(outage: number): Promise<void> {
    const armed = this.#timer;
    try {
      const frames = await this.#source.load();
      if (armed === undefined || this.#timer !== armed) return;
      this.#observer.fillerStarted();
      this.#play(`filler_${outage}`, frames, 0, AHEAD_MS);
    } catch (error) {
      this.#observer.fillerFailed(error as Error);
    }
  }

  #play(itemId: string, frames: readonly ReplyFrame[], from: number, durationMs: number): void {
    let to = from;
    for (let ms = 0; to < frames.length && ms < durationMs; to++) ms += frames[to]!.frameMs;
    this.#stage.playSound(itemId, frames.slice(from, to));
    const next = () => this.#guard.run(() => this.#play(itemId, frames, to, PIECE_MS));
    this.#timer = to < frames.length ? setTimeout(next, PIECE_MS) : undefined;
  }
}
