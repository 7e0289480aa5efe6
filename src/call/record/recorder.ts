import type { AudioFormat } from '../../audio/codec.ts';
import type { RecordedPiece, RecordingBatch, RecordingHead } from '../../recordings/batch.ts';
import type { CallerAudio } from '../../upstream/ai-conversation.ts';

/** How long a piece may still be moved or cut before it goes to the disk. */
const HELD_MS = 2_000;
/** Audio is sent on at most this often. */
const BATCH_MS = 2_000;
/** A chunk that is later than this is behind a silence, or behind others that are late too. */
const JITTER_MS = 250;
const FRAME_MS = 60;

export interface CallRecorderOptions {
  readonly head: RecordingHead;
  /** When the call began, on the monotonic clock. */
  readonly startedAtMs: number;
  /** Writes what has gathered. When it rejects the recording is over. */
  readonly write: (batch: RecordingBatch) => Promise<void>;
  readonly onLost: (error: Error) => void;
  readonly onKept: () => void;
}

/** A piece that is not sent on yet. */
interface Held {
  startMs: number;
  lengthMs: number;
  readonly base64: string;
  readonly format: AudioFormat;
  /** Where in its audio it begins. */
  readonly fromMs: number;
  /** Where it begins in the playback of the present generation, for what its client plays by itself. */
  playMs?: number | undefined;
}

/**
 * Gathers what the caller said and what was heard of the agent, each where it belongs on the call's clock, from audio that
 * is on its way anyway: it looks into none of it. What a client plays by itself is put where the playback ledger has its
 * playhead, and moves with it for a while; an interruption cuts it there.
 */
export class CallRecorder {
  readonly #options: CallRecorderOptions;
  #caller: Held[] = [];
  #callerEndMs = 0;
  #agent: Held[] = [];
  /** Milliseconds of playback handed over in this generation. */
  #handedMs = 0;
  #sentAtMs = 0;
  /** Everything before this is sent on. */
  #untilMs = 0;
  #isBegun = false;
  #isOver = false;
  #isLost = false;

  constructor(options: CallRecorderOptions) {
    this.#options = options;
  }

  /** The caller's audio, in order; `receivedAtMs`: when the end of it was there. */
  callerSaid({ base64, audioMs, receivedAtMs }: CallerAudio, format: AudioFormat): void {
    if (this.#isOver) return;
    const endMs = this.#since(receivedAtMs);
    const lateMs = endMs - audioMs - this.#callerEndMs;
    // Late audio that comes in a burst leaves a silence before it, which it then turns out not to be.
    if (lateMs < -JITTER_MS) this.#callerEndMs -= this.#closeGaps(-lateMs);
    const startMs = lateMs > JITTER_MS ? endMs - audioMs : this.#callerEndMs;
    this.#caller.push({ startMs, lengthMs: audioMs, base64, format, fromMs: 0 });
    this.#callerEndMs = startMs + audioMs;
  }

  /**
   * A frame was handed to a client that plays it by itself.
   * @param startsAtMs when the playback ledger has it begin
   */
  handedOver(frame: { base64: string; format: AudioFormat; frameMs: number }, startsAtMs: number): void {
    if (this.#isOver) return;
    const { base64, format, frameMs } = frame;
    const startMs = this.#since(startsAtMs);
    this.#agent.push({ startMs, lengthMs: frameMs, base64, format, fromMs: 0, playMs: this.#handedMs });
    this.#handedMs += frameMs;
  }

  /**
   * The client has told where its playback is. What is to be heard moves there, unless it is off by less than can be heard:
   * every answer tells a little otherwise, and each step would be a click.
   */
  playheadMoved(playheadMs: number, nowMs: number): void {
    const next = this.#agent.find(({ playMs, lengthMs }) => playMs !== undefined && playMs + lengthMs > playheadMs);
    if (next === undefined) return;
    const shiftMs = this.#since(nowMs) + next.playMs! - playheadMs - next.startMs;
    if (Math.abs(shiftMs) < FRAME_MS) return;
    for (const held of this.#agent.slice(this.#agent.indexOf(next))) {
      if (held.playMs !== undefined) held.startMs = Math.max(this.#untilMs, held.startMs + shiftMs);
    }
  }

  /** A stream has played a part of a frame, from `fromMs` in it on. */
  played(frame: { base64: string; format: AudioFormat }, fromMs: number, lengthMs: number, startsAtMs: number): void {
    if (this.#isOver) return;
    const { base64, format } = frame;
    const last = this.#agent.at(-1);
    if (last?.base64 === base64 && Math.abs(last.fromMs + last.lengthMs - fromMs) < 0.01) last.lengthMs += lengthMs;
    else this.#agent.push({ startMs: this.#since(startsAtMs), lengthMs, base64, format, fromMs });
  }

  /**
   * Playback stops: what would have been heard from now on is not.
   * @param playheadMs how much of what was handed over has been heard, as the playback ledger says
   */
  interrupted(nowMs: number, playheadMs: number): void {
    const atMs = this.#since(nowMs);
    for (const held of this.#agent) {
      const heardMs = held.playMs === undefined ? atMs - held.startMs : playheadMs - held.playMs;
      held.lengthMs = Math.min(held.lengthMs, heardMs);
      held.playMs = undefined;
    }
    this.#agent = this.#agent.filter(({ lengthMs }) => lengthMs > 0);
    this.#handedMs = 0;
  }

  /** Sends on what nothing can move any more, if it is time. */
  tick(nowMs: number): void {
    const atMs = this.#since(nowMs);
    if (this.#isOver || atMs - this.#sentAtMs < BATCH_MS) return;
    this.#sentAtMs = atMs;
    const settledMs = atMs - HELD_MS;
    const caller = takeWhile(this.#caller, ({ startMs }) => startMs <= settledMs);
    const agent = takeWhile(this.#agent, ({ startMs, lengthMs }) => startMs + lengthMs <= settledMs);
    const heldFromMs = [this.#caller[0], this.#agent[0]].map((held) => held?.startMs ?? settledMs);
    this.#send(caller, agent, Math.max(this.#untilMs, Math.min(settledMs, ...heldFromMs)), false);
  }

  /** The call is over, and with it what was still to be heard. Idempotent. */
  close(nowMs: number, playheadMs: number): void {
    if (this.#isOver) return;
    this.interrupted(nowMs, playheadMs);
    // Whoever uploads a recording in one piece is longer on the line than the call.
    const endMs = Math.max(this.#since(nowMs), this.#untilMs);
    this.#send(this.#caller.splice(0), this.#agent.splice(0), endMs, true);
    this.#isOver = true;
  }

  #send(caller: readonly Held[], agent: readonly Held[], untilMs: number, isLast: boolean): void {
    this.#untilMs = untilMs;
    const pieces = [...caller.map(pieceOf('caller')), ...agent.map(pieceOf('agent'))];
    const isFirst = !this.#isBegun;
    this.#isBegun = true;
    const { head, write, onLost, onKept } = this.#options;
    write({ head, isFirst, pieces, untilMs, isLast }).then(
      () => {
        if (isLast) onKept();
      },
      (error: Error) => {
        // One loss is told once, however many batches were on their way.
        if (this.#isLost) return;
        this.#isLost = true;
        this.#isOver = true;
        this.#caller = [];
        this.#agent = [];
        onLost(error);
      },
    );
  }

  /** Takes silences of up to `tooMuchMs` in all out of what is held of the caller, the newest first; returns how much. */
  #closeGaps(tooMuchMs: number): number {
    let leftMs = tooMuchMs;
    for (let index = this.#caller.length - 1; index > 0 && leftMs > 0; index--) {
      const before = this.#caller[index - 1]!;
      const gapMs = Math.min(leftMs, this.#caller[index]!.startMs - before.startMs - before.lengthMs);
      if (gapMs <= 0) continue;
      for (const held of this.#caller.slice(index)) held.startMs -= gapMs;
      leftMs -= gapMs;
    }
    return tooMuchMs - leftMs;
  }

  #since(atMs: number): number {
    return Math.max(0, atMs - this.#options.startedAtMs);
  }
}

function pieceOf(side: RecordedPiece['side']): (held: Held) => RecordedPiece {
  return ({ startMs, lengthMs, base64, format, fromMs }) => ({
    side,
    startMs,
    base64,
    format,
    fromMs,
    toMs: fromMs + lengthMs,
  });
}

/** Takes the first of a list off it, as long as they are what is wanted. */
function takeWhile<T>(list: T[], isWanted: (one: T) => boolean): T[] {
  const end = list.findIndex((one) => !isWanted(one));
  return list.splice(0, end === -1 ? list.length : end);
}
