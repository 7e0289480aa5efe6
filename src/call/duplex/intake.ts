import { type AudioFormat, bytesPerMs, codecOf } from '../../audio/codec.ts';

/** The window over which a client's speed is judged, and how fast it may be in it. */
const SPEED_WINDOW_MS = 5_000;
const MAX_SPEED = 2;
/** Audio that may wait here while the way up has no room; then the client is read no further. */
const MAX_WAITING_MS = 1_000;

/** What a stream's bytes make. */
export interface IntakeChunk {
  /** Whole samples, in memory of their own. */
  readonly bytes: Uint8Array;
  /** When the first of them came. */
  readonly receivedAtMs: number;
}

/** Gathers the bytes that a client streams, in whatever cut they come, until they are taken as whole samples. */
export class Intake {
  readonly #msBytes: number;
  readonly #sampleBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #receivedAtMs = 0;
  #windowStartMs: number | undefined;
  #windowBytes = 0;
  #totalBytes = 0;

  constructor(format: AudioFormat) {
    this.#msBytes = bytesPerMs(format);
    this.#sampleBytes = codecOf(format.encoding).bytesPerSample;
  }

  /** Milliseconds of audio that came in all. */
  get totalMs(): number {
    return this.#totalBytes / this.#msBytes;
  }

  /** So much waits to be taken that nothing more is to be read for a while. */
  get isFull(): boolean {
    return this.#bytes > MAX_WAITING_MS * this.#msBytes;
  }

  /**
   * Takes bytes in. They are kept as they are, not copied.
   * @returns whether the client keeps within twice real time, on average over five seconds
   */
  push(bytes: Uint8Array, nowMs: number): boolean {
    if (this.#bytes === 0) this.#receivedAtMs = nowMs;
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    this.#totalBytes += bytes.length;
    this.#windowStartMs ??= nowMs;
    if (nowMs - this.#windowStartMs > SPEED_WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#windowBytes = 0;
    }
    this.#windowBytes += bytes.length;
    return this.#windowBytes <= MAX_SPEED * SPEED_WINDOW_MS * this.#msBytes;
  }

  /** What has come since the last time, as whole samples; undefined: not one. Half a sample stays. */
  take(): IntakeChunk | undefined {
    const wholeBytes = this.#bytes - (this.#bytes % this.#sampleBytes);
    if (wholeBytes === 0) return undefined;
    const bytes = new Uint8Array(wholeBytes);
    let filled = 0;
    let rest: Uint8Array | undefined;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, wholeBytes - filled);
      bytes.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) rest = new Uint8Array(piece.subarray(part.length));
    }
    this.#pieces = rest ? [rest] : [];
    this.#bytes -= wholeBytes;
    return { bytes, receivedAtMs: this.#receivedAtMs };
  }
}
