/** Samples quieter than this are silence: some -54 dBFS. */
const SILENCE = 64;

export interface JitterOptions {
  readonly sampleRateHz: number;
  /** How much is gathered before playing starts, and again after the buffer ran empty. */
  readonly targetMs: number;
  /** How much more may be there before silence is left out. */
  readonly slackMs: number;
}

/**
 * What the gateway plays, between the network's pace and the sound card's. It comes ahead of its time by a fixed lead,
 * so the buffer holds that lead; where the network stood still it runs empty, waits for its target, and then leaves out
 * silence until it is as short as before. Speech is never left out.
 */
export class JitterBuffer {
  readonly #targetSamples: number;
  readonly #mostSamples: number;
  readonly #perMs: number;
  #pieces: Int16Array[] = [];
  /** Where in the first piece reading goes on. */
  #at = 0;
  #held = 0;
  #isPlaying = false;
  #hasEnded = false;
  #underruns = 0;

  constructor({ sampleRateHz, targetMs, slackMs }: JitterOptions) {
    this.#perMs = sampleRateHz / 1000;
    this.#targetSamples = targetMs * this.#perMs;
    this.#mostSamples = (targetMs + slackMs) * this.#perMs;
  }

  /** Milliseconds that wait to be played. */
  get heldMs(): number {
    return this.#held / this.#perMs;
  }

  /** Times that it ran empty in the middle of a call. */
  get underruns(): number {
    return this.#underruns;
  }

  push(samples: Int16Array): void {
    if (samples.length === 0) return;
    this.#hasEnded = false;
    this.#pieces.push(samples);
    this.#held += samples.length;
  }

  /** Nothing more comes for now: what is there is played, however little. */
  end(): void {
    this.#hasEnded = true;
  }

  /** Fills `out` with what is to be heard now. */
  pull(out: Int16Array): void {
    if (!this.#isPlaying && (this.#held >= this.#targetSamples || (this.#hasEnded && this.#held > 0))) {
      this.#isPlaying = true;
    }
    if (!this.#isPlaying) {
      out.fill(0);
      return;
    }
    this.#read(out);
    // A piece of silence at a time, and only where all of it is silent: nobody hears the seam.
    while (this.#held > this.#mostSamples && isSilent(out)) this.#read(out);
  }

  #read(out: Int16Array): void {
    let written = 0;
    while (written < out.length) {
      const piece = this.#pieces[0];
      if (!piece) break;
      const taken = piece.subarray(this.#at, this.#at + out.length - written);
      out.set(taken, written);
      written += taken.length;
      this.#at += taken.length;
      if (this.#at < piece.length) continue;
      this.#pieces.shift();
      this.#at = 0;
    }
    this.#held -= written;
    if (written === out.length) return;
    out.fill(0, written);
    this.#isPlaying = false;
    if (!this.#hasEnded) this.#underruns += 1;
  }
}

function isSilent(samples: Int16Array): boolean {
  return samples.every((sample) => Math.abs(sample) < SILENCE);
}
