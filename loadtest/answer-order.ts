/** Answers that are held because one before them is still on its way. */
const MAX_HELD = 20;

interface HeldAnswer {
  readonly firstSeq: number;
  readonly seq: number;
  readonly audio: Buffer;
}

export interface AnswerOrderOptions {
  /** Bytes of an entry of audio. */
  readonly entryBytes: number;
  /** Nothing but audio has numbers: then an answer's first number is known, and a hole is one. */
  readonly isAudioOnly: boolean;
}

/**
 * Puts the audio of answers together that overlap. A client that acknowledges is told again what it had not acknowledged
 * when it asked; one that does not may read a later answer first, on another connection.
 */
export class AnswerOrder {
  readonly #options: AnswerOrderOptions;
  #seq = -1;
  #held: HeldAnswer[] = [];

  constructor(options: AnswerOrderOptions) {
    this.#options = options;
  }

  /** Number of the last entry up to which everything has arrived. */
  get seq(): number {
    return this.#seq;
  }

  /**
   * Takes an answer in.
   * @param ack what its request acknowledged; undefined: nothing is
   * @param seq number of the answer's last entry
   * @returns the audio that is to be heard now, in order
   */
  take(ack: number | undefined, seq: number, audio: Buffer): Buffer[] {
    const entries = audio.length / this.#options.entryBytes;
    if (ack !== undefined || !this.#options.isAudioOnly) return this.#next(ack, seq, audio);
    if (entries === 0) return [];
    this.#held.push({ firstSeq: seq - entries + 1, seq, audio });
    this.#held.sort((a, b) => a.firstSeq - b.firstSeq);
    const ready: Buffer[] = [];
    for (let first = this.#held[0]; first; first = this.#held[0]) {
      // What has been missing for so long is lost, and whoever listens will say so.
      if (first.firstSeq > this.#seq + 1 && this.#held.length <= MAX_HELD) break;
      this.#held.shift();
      ready.push(...this.#next(undefined, first.seq, first.audio));
    }
    return ready;
  }

  #next(ack: number | undefined, seq: number, audio: Buffer): Buffer[] {
    const { entryBytes } = this.#options;
    const entries = audio.length / entryBytes;
    // Of what was told again, the end is new.
    const isNew = ack === undefined && !this.#options.isAudioOnly ? entries : Math.min(entries, seq - this.#seq);
    this.#seq = Math.max(this.#seq, seq);
    return isNew > 0 ? [audio.subarray(audio.length - isNew * entryBytes)] : [];
  }
}
