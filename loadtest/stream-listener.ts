import { bytesPerMs, codecOf, silenceByte } from '../src/audio/codec.ts';
import { Arrivals } from './arrivals.ts';
import { BargeInWatch } from './barge-in.ts';
import { Listener, type ListenerOptions } from './listener.ts';
import { SpeechFilter, WINDOW_MS } from './speech-filter.ts';
import type { Stats } from './stats.ts';

/** The ear of a streamed call: times what comes against its schedule, and listens to what is said in it. */
export class StreamListener {
  /** What is said, without the silence between. */
  readonly speech: Listener;
  readonly #stats: Stats;
  readonly #arrivals: Arrivals;
  readonly #bargeIns: BargeInWatch;
  readonly #filter: SpeechFilter | undefined;
  readonly #silence: Buffer;
  readonly #windowBytes: number;
  /** A window that has come in part. */
  readonly #rest: Buffer;
  #restBytes = 0;
  #positionMs = 0;
  #hasSpeech = false;
  #fillerMs = 0;

  constructor(options: ListenerOptions) {
    const { job, recording, stats } = options;
    const { format, expectation, duplex } = job;
    this.speech = new Listener(options);
    this.#stats = stats;
    this.#windowBytes = bytesPerMs(format) * WINDOW_MS;
    this.#rest = Buffer.alloc(this.#windowBytes);
    this.#silence = Buffer.alloc(this.#windowBytes, silenceByte(format.encoding));
    this.#arrivals = new Arrivals(duplex, {
      onFrame: (lateMs) => stats.time('arrival', lateMs),
      onUnderrun: (gapMs) => {
        stats.count('underruns');
        stats.count('underrunMs', gapMs);
      },
    });
    this.#bargeIns = new BargeInWatch(({ seenMs, heardMs }) => {
      stats.count('interruptions');
      stats.time('bargeInSeen', seenMs);
      stats.time('bargeIn', heardMs);
    });
    if (expectation !== 'loopback') return;
    const silence = codecOf(format.encoding).decode(this.#silence);
    this.#filter = new SpeechFilter(
      this.#windowBytes,
      (offset) => recording.reference.equalsAt(silence, (this.speech.expectedAt ?? 0) + offset * silence.length),
      (piece) => this.#onPiece(piece),
      () => {
        this.#fillerMs += WINDOW_MS;
      },
    );
  }

  /** The upstream heard the caller begin to speak. */
  speechStarted(atMs: number): void {
    this.#bargeIns.speechStarted(atMs);
  }

  /** @param bytes in any cut */
  hear(bytes: Uint8Array, nowMs: number): void {
    const size = this.#windowBytes;
    this.#arrivals.arrived((bytes.length / size) * WINDOW_MS, nowMs);
    let at = 0;
    while (at < bytes.length) {
      if (this.#restBytes === 0 && at + size <= bytes.length) {
        this.#window(bytes.subarray(at, at + size), nowMs);
        at += size;
        continue;
      }
      const part = bytes.subarray(at, at + size - this.#restBytes);
      this.#rest.set(part, this.#restBytes);
      this.#restBytes += part.length;
      at += part.length;
      if (this.#restBytes < size) return;
      this.#restBytes = 0;
      this.#window(this.#rest, nowMs);
    }
  }

  #window(window: Uint8Array, nowMs: number): void {
    const isSilent = this.#silence.equals(window);
    if (this.#filter) {
      this.#nowMs = nowMs;
      this.#filter.take(window, isSilent);
    } else {
      if (!isSilent) this.#stats.count('heardMs', WINDOW_MS);
      this.#bargeIns.heard(isSilent, WINDOW_MS, nowMs, this.#arrivals.playsAtMs(this.#positionMs));
    }
    this.#positionMs += WINDOW_MS;
  }

  /** When the window came that is being looked at. */
  #nowMs = 0;

  #onPiece(piece: Buffer): void {
    // Before the first piece there is nothing to say; behind it, the loop has no pause.
    if (this.#hasSpeech && this.#fillerMs > 0) this.speech.gap(this.#fillerMs);
    this.#hasSpeech = true;
    this.#fillerMs = 0;
    this.speech.follow(piece, this.#nowMs);
  }
}
