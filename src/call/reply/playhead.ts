import type { Reply } from './reply.ts';

/** How long a client may take to say that it is behind with what it plays. */
const LATE_REPORT_MS = 10_000;

/** A stretch of the present generation's playback that belongs to one reply. */
interface Segment {
  readonly reply: Reply;
  readonly startMs: number;
  playMs: number;
  audioMs: number;
}

/**
 * Where the client's playback is, which nobody else can know: the upstream generates faster than speech plays, and
 * playback happens on the switch. It runs in real time through what was delivered in the present generation, from the
 * moment of delivery or from when it gets there, and never past what was delivered. A client's report (`playedMs`) sets
 * it right.
 */
export class Playhead {
  #segments: Segment[] = [];
  /** Milliseconds of playback delivered in this generation. */
  #deliveredMs = 0;
  /** When it will have reached everything delivered, on the caller's `nowMs` clock. */
  #playsUntilMs = 0;

  /**
   * A frame arrived at the client.
   * @param playMs how long it plays
   * @param audioMs how much of that is the reply's audio: less in a padded last frame
   */
  delivered(reply: Reply, playMs: number, audioMs: number, nowMs: number): void {
    reply.delivered(audioMs);
    const last = this.#segments.at(-1);
    if (last?.reply === reply) {
      last.playMs += playMs;
      last.audioMs += audioMs;
    } else {
      this.#forgetPlayed(nowMs, 1);
      this.#segments.push({ reply, startMs: this.#deliveredMs, playMs, audioMs });
    }
    this.#deliveredMs += playMs;
    this.#playsUntilMs = Math.max(this.#playsUntilMs, nowMs) + playMs;
  }

  /** The client says how much of this generation's audio has been heard; it is clamped to what was delivered. */
  report(playedMs: number, nowMs: number): void {
    const played = Math.min(playedMs, this.#deliveredMs);
    this.#playsUntilMs = nowMs + (this.#deliveredMs - played);
  }

  /** Milliseconds of this generation that the caller has heard. */
  positionMs(nowMs: number): number {
    return this.#deliveredMs - this.remainingMs(nowMs);
  }

  /** When all that was delivered will have been heard. */
  get playsUntilMs(): number {
    return this.#playsUntilMs;
  }

  /** How long what was delivered will still play. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.#playsUntilMs - nowMs);
  }

  heardMs(reply: Reply, nowMs: number): number {
    const positionMs = this.positionMs(nowMs);
    let heardMs = reply.settledHeardMs;
    for (const segment of this.#segments) if (segment.reply === reply) heardMs += heardOf(segment, positionMs);
    return heardMs;
  }

  /** What was played a while ago is certain to have been heard. */
  settle(nowMs: number): void {
    this.#forgetPlayed(nowMs - LATE_REPORT_MS, 0);
  }

  /** Ends the generation: playback stops where it is, and a new timeline begins. */
  interrupt(nowMs: number): void {
    const positionMs = this.positionMs(nowMs);
    for (const segment of this.#segments) segment.reply.settleHeard(heardOf(segment, positionMs));
    this.#segments = [];
    this.#deliveredMs = 0;
    this.#playsUntilMs = nowMs;
  }

  /** @param keep how many stretches stay, since a report may still say that they have not been played */
  #forgetPlayed(nowMs: number, keep: number): void {
    const positionMs = this.positionMs(nowMs);
    while (this.#segments.length > keep) {
      const [first] = this.#segments as [Segment];
      if (first.startMs + first.playMs > positionMs) return;
      first.reply.settleHeard(first.audioMs);
      this.#segments.shift();
    }
  }
}

function heardOf(segment: Segment, positionMs: number): number {
  return Math.max(0, Math.min(segment.audioMs, positionMs - segment.startMs));
}
