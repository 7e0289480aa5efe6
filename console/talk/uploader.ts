import { ApiFailure } from '../api/failure.ts';

/** Sends one chunk; resolves when the gateway has taken it. */
export type SendChunk = (chunkSeq: number, samples: Int16Array) => Promise<void>;

/** Between two attempts to send the same chunk. */
const RETRY_MS = { first: 200, most: 2_000 } as const;
/** What waits is bounded: after a longer standstill the oldest is of no use to the conversation. */
const MOST_WAITING_MS = 3_000;

/**
 * The caller's audio on its way up, as a switch sends it: numbered chunks, one request at a time, the same chunk again
 * under its number where no answer came. What is recorded meanwhile goes together as the next chunk, so a slow network
 * has fewer and larger ones.
 */
export class Uploader {
  readonly #send: SendChunk;
  readonly #onOver: (error: unknown) => void;
  readonly #mostSamples: number;
  #waiting: Int16Array[] = [];
  #nextSeq = 0;
  #isBusy = false;
  #isClosed = false;

  /** @param onOver the gateway takes no more audio of this call */
  constructor(sampleRateHz: number, send: SendChunk, onOver: (error: unknown) => void) {
    this.#mostSamples = (MOST_WAITING_MS * sampleRateHz) / 1000;
    this.#send = send;
    this.#onOver = onOver;
  }

  push(samples: Int16Array): void {
    if (this.#isClosed) return;
    this.#waiting.push(samples);
    if (!this.#isBusy) void this.#run();
  }

  /** Sends nothing more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const chunk = joined(this.#waiting).subarray(-this.#mostSamples);
      this.#waiting = [];
      await this.#deliver(this.#nextSeq++, chunk);
    }
    this.#isBusy = false;
  }

  async #deliver(chunkSeq: number, chunk: Int16Array): Promise<void> {
    for (let waitMs: number = RETRY_MS.first; !this.#isClosed; waitMs = Math.min(RETRY_MS.most, waitMs * 2)) {
      try {
        await this.#send(chunkSeq, chunk);
        return;
      } catch (error) {
        const isWorthAnotherTry = error instanceof ApiFailure && (error.status === 0 || error.status >= 500);
        if (isWorthAnotherTry) {
          await new Promise((resolve) => setTimeout(resolve, waitMs));
          continue;
        }
        if (this.#isClosed) return;
        this.close();
        this.#onOver(error);
      }
    }
  }
}

export function joined(pieces: readonly Int16Array[]): Int16Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Int16Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
