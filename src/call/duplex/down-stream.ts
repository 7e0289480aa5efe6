import type { AudioFormat } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { CallObserver } from '../record/observer.ts';
import type { AudioEntry } from '../reply/outbox.ts';
import type { ReplyPath } from '../reply/reply-path.ts';
import type { CallStanding } from '../standing.ts';
import { BEAT_MS, Metronome, type OnBeat } from './metronome.ts';
import { Playout, type PlayoutListener, type SpeechPiece, type SpeechSource } from './playout.ts';
import type { CallStreamsOptions } from './streams.ts';

/** What a client asks of the way down. */
export interface DownStreamRequest {
  readonly format: AudioFormat;
  /** How far ahead of playback audio is written: 40 to 400 ms. */
  readonly leadMs: number;
  /** Audio a write: a multiple of 20 ms, at most `leadMs`. */
  readonly frameMs: number;
}

/** The client's end of a way down, as the call sees it. */
export interface AudioReceiver {
  /** It does not read what was written: nothing more is to be. */
  readonly isFull: boolean;
  write(bytes: Uint8Array): void;
  /** No audio follows: `over`, the call has no more for this stream; `replaced`, another stream has its place. */
  end(why: 'over' | 'replaced'): void;
  /** It is given up: it has not read for too long. */
  giveUp(): void;
}

/** How long a client may leave audio unread. */
const MAX_BLOCKED_MS = 30_000;

interface Piece extends SpeechPiece {
  readonly entry: AudioEntry;
  /** How much of its own audio has been reported as heard: not what it was padded with. */
  heardAudioMs: number;
  /** How much of it has been heard, with what it was padded with. */
  heardMs: number;
}

/** One connection's way down: plays a call's outbox in real time, and tells what of it was heard. */
export class DownStream implements OnBeat, SpeechSource<Piece>, PlayoutListener {
  readonly #replyPath: ReplyPath;
  readonly #observer: CallObserver;
  readonly #metronome: Metronome;
  readonly #receiver: AudioReceiver;
  readonly #standing: Pick<CallStanding, 'isSaidOut'>;
  readonly #playout: Playout<Piece>;
  #blockedSinceMs: number | undefined;
  #closed = false;

  constructor(
    request: DownStreamRequest,
    receiver: AudioReceiver,
    { replyPath, observer, metronome, standing }: Omit<CallStreamsOptions, 'uplink'>,
  ) {
    this.#replyPath = replyPath;
    this.#observer = observer;
    this.#metronome = metronome;
    this.#receiver = receiver;
    this.#standing = standing;
    this.#playout = new Playout<Piece>({
      ...request,
      source: this,
      sink: receiver,
      listener: this,
      // From the next beat on: its owner has a head to send first.
      startsAtMs: Metronome.beatOf(monotonicNowMs()) + BEAT_MS,
    });
    observer.streamOpened('down', { encoding: request.format.encoding, leadMs: request.leadMs });
    replyPath.useFormat(request.format);
    metronome.add(this);
  }

  beat(beatMs: number, nowMs: number): void {
    if (this.#receiver.isFull) {
      this.#blockedSinceMs ??= nowMs;
      if (nowMs - this.#blockedSinceMs > MAX_BLOCKED_MS) {
        this.#observer.streamNotRead(nowMs - this.#blockedSinceMs);
        this.#receiver.giveUp();
        this.close();
        return;
      }
    } else {
      this.#blockedSinceMs = undefined;
    }
    this.#playout.beat(beatMs, nowMs);
  }

  /** Brings up to date what is known to have been heard. */
  settle(nowMs: number): void {
    this.#playout.settle(nowMs);
  }

  /** An interruption: the next frame is silence. The caller settles first. */
  flush(): void {
    this.#playout.flush();
  }

  /** The connection is gone or given up: what was not heard waits for the next. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#metronome.remove(this);
    this.#playout.close(monotonicNowMs());
    this.#observer.streamClosed('down');
  }

  /** The call goes on elsewhere. */
  breakOff(): void {
    if (this.#closed) return;
    this.close();
    this.#receiver.giveUp();
  }

  /** Another stream takes its place. */
  replace(): void {
    if (this.#closed) return;
    this.close();
    this.#receiver.end('replaced');
  }

  // What the playout asks for and tells

  get isOver(): boolean {
    const { outbox } = this.#replyPath;
    return !outbox.hasAudioAhead && (outbox.isAtAction || this.#standing.isSaidOut);
  }

  next(): Piece | undefined {
    const { outbox } = this.#replyPath;
    const entry = outbox.takeAudio();
    if (entry === undefined) return undefined;
    this.#observer.replyPlayed(entry, monotonicNowMs());
    return { entry, bytes: Buffer.from(entry.base64, 'base64'), playMs: entry.frameMs, heardAudioMs: 0, heardMs: 0 };
  }

  heard(piece: Piece, playedMs: number, isWhole: boolean, startedAtMs: number): void {
    const { entry } = piece;
    this.#replyPath.recorder?.played(entry, piece.heardMs, playedMs, startedAtMs);
    piece.heardMs += playedMs;
    const audioMs = isWhole
      ? entry.audioMs - piece.heardAudioMs
      : Math.min(playedMs, entry.audioMs - piece.heardAudioMs);
    piece.heardAudioMs += audioMs;
    this.#replyPath.played(entry, audioMs, isWhole);
  }

  giveBack(pieces: readonly Piece[]): void {
    // They are heard again from their beginning.
    for (const { entry, heardAudioMs } of pieces)
      if (heardAudioMs > 0) this.#replyPath.played(entry, -heardAudioMs, false);
    this.#replyPath.outbox.giveBackAudio(pieces.map(({ entry }) => entry));
  }

  onFrame(lateMs: number): void {
    this.#observer.streamFrame(lateMs);
  }

  onUnderrun(gapMs: number): void {
    this.#observer.streamUnderrun(gapMs);
  }

  onOver(): void {
    this.close();
    this.#receiver.end('over');
  }
}
