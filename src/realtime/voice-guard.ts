/** Pauses up to this long belong to the speech around them. */
const MAX_GAP_MS = 200;

/**
 * Measures how long the caller has been speaking, by the loudness of what the caller sent, so that a cough or a
 * crackle of echo can be told from speech before the server says that it is over.
 */
export class VoiceGuard {
  readonly minSpeechMs: number;
  #voicedMs = 0;
  #gapMs = 0;

  /** @param minSpeechMs shorter speech does not interrupt; 0: the guard is off */
  constructor(minSpeechMs: number) {
    this.minSpeechMs = minSpeechMs;
  }

  get isOn(): boolean {
    return this.minSpeechMs > 0;
  }

  /** Whether the newest run of speech is long enough to interrupt. It may be over: the server reports speech late. */
  get isSpeech(): boolean {
    return this.#voicedMs >= this.minSpeechMs;
  }

  /** Adds a frame of `audioMs`, `voicedMs` of it loud. */
  add(audioMs: number, voicedMs: number): void {
    if (voicedMs === 0) {
      this.#gapMs += audioMs;
      return;
    }
    if (this.#gapMs > MAX_GAP_MS) this.#voicedMs = 0;
    this.#voicedMs += voicedMs;
    this.#gapMs = 0;
  }

  /** Forgets the run: what was said of it has been decided. */
  reset(): void {
    this.#voicedMs = 0;
  }
}
