import { type AudioFormat, bytesPerMs, silenceByte } from '../../audio/codec.ts';
import type { OnBeat } from './metronome.ts';

/** A piece of a reply on its way to a stream. */
export interface SpeechPiece {
  readonly bytes: Uint8Array;
  /** How long it plays, in milliseconds. */
  readonly playMs: number;
}

/** Where a playout gets its speech from, and whom it tells what became of it. */
export interface SpeechSource<Piece extends SpeechPiece> {
  /** The next piece to be said; undefined: nothing is to be said now. */
  next(): Piece | undefined;
  /** Nothing is to be said any more on this stream, once what was taken has been heard. */
  readonly isOver: boolean;
  /**
   * `playedMs` more of a piece have been heard, from `startedAtMs` on; `isWhole`: that was the last of it. Pieces in the
   * order of `next`.
   */
  heard(piece: Piece, playedMs: number, isWhole: boolean, startedAtMs: number): void;
  /** Pieces that were taken, and not heard to their end: the stream is gone. */
  giveBack(pieces: readonly Piece[]): void;
}

/** Where a playout's bytes go. */
export interface PlayoutSink {
  /** Bytes wait because the client does not read: nothing more is to be written. */
  readonly isFull: boolean;
  write(bytes: Uint8Array): void;
}

/** Told how a stream keeps time. */
export interface PlayoutListener {
  /** A frame went out `lateMs` behind its time. */
  onFrame(lateMs: number): void;
  /** The client ran out of audio and waited for `gapMs`. */
  onUnderrun(gapMs: number): void;
  /** Everything has been heard and nothing follows. Called once. */
  onOver(): void;
}

export interface PlayoutOptions<Piece extends SpeechPiece> {
  readonly format: AudioFormat;
  /** How far ahead of the client's playback audio is written, in milliseconds. */
  readonly leadMs: number;
  /** Audio a write, in milliseconds; at most `leadMs`. */
  readonly frameMs: number;
  readonly source: SpeechSource<Piece>;
  readonly sink: PlayoutSink;
  readonly listener: PlayoutListener;
  /** The beat at which the client begins to play. */
  readonly startsAtMs: number;
}

/** A piece that has been written at least in part. */
interface Span<Piece> {
  readonly piece: Piece;
  /** Where in the stream it begins, in milliseconds. */
  readonly startMs: number;
  /** How much of it has been reported as heard. */
  reportedMs: number;
}

/**
 * The way down of one streamed call: a continuous stream in real time, `leadMs` ahead of what the client plays, silence
 * where nothing is to be said. It is the one who plays, so it knows what was heard: whatever was written `leadMs` ago.
 *
 * A stream that falls behind, because the gateway stood still or the client does not read, makes the client wait; then
 * its time begins anew where it is. So speech is never dropped, and the silence that would have filled the gap is.
 */
export class Playout<Piece extends SpeechPiece> implements OnBeat {
  readonly #options: PlayoutOptions<Piece>;
  readonly #msBytes: number;
  readonly #silence: Uint8Array;
  /** When the client plays the beginning of the stream, moved on by every gap. */
  #startsAtMs: number;
  #writtenMs = 0;
  /** Up to here in the stream, frames fill the client's reserve: they are no schedule's. */
  #refilledAtMs: number;
  /** The piece that is being written, as far as it has been. */
  #current: Piece | undefined;
  #currentByte = 0;
  readonly #unheard: Span<Piece>[] = [];
  #closed = false;

  constructor(options: PlayoutOptions<Piece>) {
    this.#options = options;
    const { format, frameMs, leadMs, startsAtMs } = options;
    this.#msBytes = bytesPerMs(format);
    this.#silence = new Uint8Array(frameMs * this.#msBytes).fill(silenceByte(format.encoding));
    this.#startsAtMs = startsAtMs;
    this.#refilledAtMs = leadMs;
  }

  beat(beatMs: number, nowMs: number): void {
    if (this.#closed) return;
    const { leadMs, frameMs, sink, listener, source } = this.#options;
    // Between two frames there is nothing to do: whoever asks what was heard settles first.
    if (nowMs < this.#startsAtMs + this.#writtenMs + frameMs - leadMs) return;
    this.settle(nowMs);
    if (!sink.isFull) {
      // From beat to beat: between two of them every frame of the stream would be late by the same part of a beat.
      const gapMs = beatMs - this.#startsAtMs - this.#writtenMs;
      if (gapMs > 0) {
        this.#startsAtMs += gapMs;
        this.#refilledAtMs = this.#writtenMs + leadMs;
        if (this.#writtenMs > 0) listener.onUnderrun(gapMs);
      }
      // A write is never more than `leadMs` ahead, however late the one before was.
      for (;;) {
        const lateMs = nowMs - (this.#startsAtMs + this.#writtenMs + frameMs - leadMs);
        if (lateMs < 0 || sink.isFull) break;
        sink.write(this.#frame());
        this.#writtenMs += frameMs;
        if (this.#writtenMs > this.#refilledAtMs) listener.onFrame(lateMs);
      }
    }
    if (source.isOver && this.#unheard.length === 0 && this.#current === undefined) {
      this.#closed = true;
      listener.onOver();
    }
  }

  /** Reports what has been heard by `nowMs`, to the millisecond. */
  settle(nowMs: number): void {
    const { source } = this.#options;
    const playedMs = nowMs - this.#startsAtMs;
    for (let span = this.#unheard[0]; span !== undefined; span = this.#unheard[0]) {
      const { piece, startMs } = span;
      const writtenMs = piece === this.#current ? this.#currentByte / this.#msBytes : piece.playMs;
      const heardMs = Math.min(Math.max(playedMs - startMs, 0), writtenMs);
      const isWhole = heardMs >= piece.playMs;
      const moreMs = heardMs - span.reportedMs;
      const startedAtMs = this.#startsAtMs + startMs + span.reportedMs;
      span.reportedMs = heardMs;
      if (isWhole) this.#unheard.shift();
      if (moreMs > 0) source.heard(piece, moreMs, isWhole, startedAtMs);
      if (!isWhole) return;
    }
  }

  /** An interruption: nothing of what was taken is to be said any more. The caller settles first. */
  flush(): void {
    this.#current = undefined;
    this.#unheard.length = 0;
  }

  /** The stream is gone: what was not heard goes back. Idempotent. */
  close(nowMs: number): void {
    if (this.#closed) return;
    this.settle(nowMs);
    this.#closed = true;
    const pieces = this.#unheard.map(({ piece }) => piece);
    this.flush();
    if (pieces.length > 0) this.#options.source.giveBack(pieces);
  }

  /** The next frame of the stream. */
  #frame(): Uint8Array {
    const length = this.#silence.length;
    let frame: Uint8Array | undefined;
    for (let filled = 0; filled < length; ) {
      if (this.#current === undefined) {
        this.#current = this.#options.source.next();
        this.#currentByte = 0;
        if (this.#current === undefined) break;
        const startMs = this.#writtenMs + filled / this.#msBytes;
        this.#unheard.push({ piece: this.#current, startMs, reportedMs: 0 });
      }
      const { bytes } = this.#current;
      const part = bytes.subarray(this.#currentByte, this.#currentByte + length - filled);
      // A whole piece that fills a frame goes out as it is.
      if (part.length === length) frame = part;
      else {
        frame ??= new Uint8Array(this.#silence);
        frame.set(part, filled);
      }
      filled += part.length;
      this.#currentByte += part.length;
      if (this.#currentByte >= bytes.length) this.#current = undefined;
    }
    return frame ?? this.#silence;
  }
}
