/** Silence this long is the end of a reply, and no pause in it. */
const END_MS = 400;
/** A reply that goes on for this long was not interrupted. */
const GIVE_UP_MS = 3_000;
/** Stretches of silence that are remembered: the news of an interruption comes behind what it did. */
const REMEMBERED = 16;

/** A stretch of silence in what came. */
interface Stretch {
  readonly arrivedAtMs: number;
  readonly playedAtMs: number;
  lengthMs: number;
  /** When speech came again. */
  endedAtMs: number | undefined;
}

/** How long an interruption took, from when the upstream said that the caller speaks. */
export interface BargeIn {
  /** Until the first silence came in. */
  readonly seenMs: number;
  /** Until it was played. */
  readonly heardMs: number;
}

/** Finds in what a caller hears the moments at which it fell silent because the caller spoke. */
export class BargeInWatch {
  readonly #onBargeIn: (bargeIn: BargeIn) => void;
  readonly #stretches: Stretch[] = [];
  readonly #pending: number[] = [];
  #isSilent = true;

  constructor(onBargeIn: (bargeIn: BargeIn) => void) {
    this.#onBargeIn = onBargeIn;
  }

  /** The upstream said at `atMs` that the caller speaks. */
  speechStarted(atMs: number): void {
    if (this.#wasSpeaking(atMs)) this.#pending.push(atMs);
  }

  /** A piece of what is heard. */
  heard(isSilent: boolean, audioMs: number, arrivedAtMs: number, playedAtMs: number): void {
    const last = this.#stretches.at(-1);
    if (!isSilent && last) last.endedAtMs ??= arrivedAtMs;
    else if (isSilent && (last === undefined || last.endedAtMs !== undefined)) {
      this.#stretches.push({ arrivedAtMs, playedAtMs, lengthMs: audioMs, endedAtMs: undefined });
      if (this.#stretches.length > REMEMBERED) this.#stretches.shift();
    } else if (isSilent) last!.lengthMs += audioMs;
    this.#isSilent = isSilent;
    if (this.#pending.length > 0) this.#settle(arrivedAtMs);
  }

  #wasSpeaking(atMs: number): boolean {
    const before = this.#stretches.findLast(({ arrivedAtMs }) => arrivedAtMs <= atMs);
    if (before) return before.endedAtMs !== undefined && before.endedAtMs <= atMs;
    return this.#stretches.length > 0 || !this.#isSilent;
  }

  #settle(nowMs: number): void {
    const atMs = this.#pending[0]!;
    const end = this.#stretches.find(({ arrivedAtMs, lengthMs }) => arrivedAtMs >= atMs && lengthMs >= END_MS);
    if (end) this.#onBargeIn({ seenMs: end.arrivedAtMs - atMs, heardMs: end.playedAtMs - atMs });
    if (end || nowMs - atMs > GIVE_UP_MS) this.#pending.shift();
  }
}
