import { FRAME_MS } from '../src/audio/frames.ts';

/** What a paced stream is looked at in: everything in it is a multiple of this. */
export const WINDOW_MS = 20;
const WINDOWS_A_PIECE = FRAME_MS / WINDOW_MS;

/** Whether the caller's own audio is silent at the place that would be heard next, `offset` windows on. */
export type IsSilentThere = (offset: number) => boolean;

/**
 * Takes the silence out of a stream that its sender put in while nothing was to be said. What is said comes in whole
 * pieces of 60 ms, so silence between two of them is the sender's, unless what is to be heard there is silent itself;
 * silence within a piece belongs to it, and whoever checks the piece will see whether it should be there.
 */
export class SpeechFilter {
  readonly #piece: Buffer;
  readonly #windowBytes: number;
  readonly #isSilentThere: IsSilentThere;
  readonly #onPiece: (piece: Buffer) => void;
  readonly #onFiller: () => void;
  #windows = 0;
  /** Whether all windows of the piece up to now are silent: then more silence may have been put in before it. */
  #isSilent = true;

  /**
   * @param onPiece gets whole pieces, in memory that is used again
   * @param onFiller a window that was put in
   */
  constructor(
    windowBytes: number,
    isSilentThere: IsSilentThere,
    onPiece: (piece: Buffer) => void,
    onFiller: () => void,
  ) {
    this.#windowBytes = windowBytes;
    this.#piece = Buffer.alloc(windowBytes * WINDOWS_A_PIECE);
    this.#isSilentThere = isSilentThere;
    this.#onPiece = onPiece;
    this.#onFiller = onFiller;
  }

  take(window: Uint8Array, isSilent: boolean): void {
    if (isSilent && this.#isSilent && !this.#isSilentThere(this.#windows)) {
      this.#onFiller();
      return;
    }
    this.#piece.set(window, this.#windows * this.#windowBytes);
    this.#isSilent &&= isSilent;
    this.#windows += 1;
    if (this.#windows < WINDOWS_A_PIECE) return;
    this.#windows = 0;
    this.#isSilent = true;
    this.#onPiece(this.#piece);
  }
}
