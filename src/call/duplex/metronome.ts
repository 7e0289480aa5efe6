import { monotonicNowMs } from '../../clock.ts';

/** How far apart beats are, in milliseconds. Whatever is paced or gathered is so in multiples of it. */
export const BEAT_MS = 20;

/** Something that is done on the beat. */
export interface OnBeat {
  /**
   * @param beatMs when the beat was due, on the monotonic clock: a multiple of {@link BEAT_MS} behind the one before
   * @param nowMs when it is: later by what the thread was late
   */
  beat(beatMs: number, nowMs: number): void;
}

/**
 * One clock for the audio of all streamed calls: an absolute schedule, so that lateness never adds up, and one timer
 * however many calls there are, so that what they all have to do is done in one turn of the event loop.
 */
export class Metronome {
  readonly #members = new Set<OnBeat>();
  readonly #onError: (error: unknown) => void;
  #nextBeatMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onError told what a member throws; the others are not held up by it */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** The beat in whose time `nowMs` is: every member that joins takes its schedule from it. */
  static beatOf(nowMs: number): number {
    return Math.floor(nowMs / BEAT_MS) * BEAT_MS;
  }

  /** Whether `beatMs` is one of the beats that are `everyMs` apart, the same ones for all who ask. */
  static isMultiple(beatMs: number, everyMs: number): boolean {
    return beatMs % everyMs === 0;
  }

  add(member: OnBeat): void {
    this.#members.add(member);
    if (this.#timer !== undefined) return;
    this.#nextBeatMs = Metronome.beatOf(monotonicNowMs()) + BEAT_MS;
    this.#sleep();
  }

  /** Idempotent. Without members nothing ticks. */
  remove(member: OnBeat): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.close();
  }

  /** Stops. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #sleep(): void {
    this.#timer = setTimeout(() => this.#beat(), Math.max(0, Math.ceil(this.#nextBeatMs - monotonicNowMs())));
  }

  #beat(): void {
    const nowMs = monotonicNowMs();
    // Beats that went by while the thread stood still are one beat: members look at the time, not at a count.
    const beatMs = Math.max(this.#nextBeatMs, Metronome.beatOf(nowMs));
    this.#nextBeatMs = beatMs + BEAT_MS;
    for (const member of this.#members) {
      try {
        member.beat(beatMs, nowMs);
      } catch (error) {
        this.#onError(error);
      }
    }
    if (this.#members.size > 0) this.#sleep();
  }
}
