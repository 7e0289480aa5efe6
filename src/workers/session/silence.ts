import { SILENCE_AFTER_MS } from './cadence.ts';

/** Silence that is sent at once. */
export const SILENCE_MS = 100;
/** For how long no silence is sent after a time in which the thread may have stood still. */
const LOOK_AGAIN_MS = 50;
/** Looks in a row that may put silence off, so that a worker that is always late still sends it. */
const MAX_DOUBTS = 5;

/** What the clock of silence needs of a session. */
export interface SilentSession {
  /** Until when the upstream has audio, the client's or silence; undefined before the first chunk. */
  silentSinceMs: number | undefined;
  /** How long its client may send nothing; at least `SILENCE_AFTER_MS`. */
  readonly patienceMs: number;
  /** Sends `SILENCE_MS` of silence. */
  sendSilence(nowMs: number): void;
}

/** Says when a worker's sessions send silence upstream in the place of clients that send nothing. */
export class SilenceClock {
  readonly #sessions: { values(): Iterable<SilentSession> };
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #doubts = 0;

  constructor(sessions: { values(): Iterable<SilentSession> }) {
    this.#sessions = sessions;
  }

  /**
   * Sends what is due, unless it was last called so long ago that this thread, and with it most likely the process, may
   * have stood still: what clients sent meanwhile is on its way here, and silence ahead of it would cut a word in two.
   * @returns milliseconds until it is to be called again
   */
  tick(nowMs: number): number {
    const inDoubt = nowMs - this.#lookedAtMs > SILENCE_MS + LOOK_AGAIN_MS && this.#doubts < MAX_DOUBTS;
    this.#lookedAtMs = nowMs;
    let waitMs = SILENCE_AFTER_MS;
    let putOff = false;
    for (const session of this.#sessions.values()) {
      if (session.silentSinceMs === undefined) continue;
      const quietMs = nowMs - session.silentSinceMs;
      // A client that sends all the time is not asked for its patience.
      const patienceMs = quietMs < SILENCE_AFTER_MS - LOOK_AGAIN_MS ? SILENCE_AFTER_MS : session.patienceMs;
      let dueInMs = patienceMs - quietMs;
      if (inDoubt && dueInMs < LOOK_AGAIN_MS) {
        putOff = true;
        dueInMs = LOOK_AGAIN_MS;
        session.silentSinceMs = nowMs + dueInMs - patienceMs;
      } else if (dueInMs <= 0) {
        // Keeps pace with the clock: what is sent stands for time that has passed.
        session.silentSinceMs += SILENCE_MS;
        session.sendSilence(nowMs);
        dueInMs = Math.max(0, dueInMs + SILENCE_MS);
      }
      waitMs = Math.min(waitMs, dueInMs);
    }
    this.#doubts = putOff ? this.#doubts + 1 : 0;
    return waitMs;
  }
}
