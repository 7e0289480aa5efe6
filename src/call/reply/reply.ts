import { cutToHeard } from '../../upstream/conversation.ts';

/** Audio may get shorter by this much on its way through resampling and framing. */
const TOLERANCE_MS = 20;

/**
 * What the AI says in one item, from the first that is told of it until it is over: received, delivered to the client,
 * then heard, or cut. Milliseconds are of its audio.
 */
export class Reply {
  readonly itemId: string;
  /** It stands in for an answer, and has no words. */
  readonly isFiller: boolean;
  /** Audio that the worker passed on, ready for the client or not. */
  #toldMs = 0;
  #toldText = '';
  /** Audio that is ready for the client. */
  #receivedMs = 0;
  #deliveredMs = 0;
  /** Heard in generations that are over, or played past. */
  #settledHeardMs = 0;
  /** All of its audio is ready. */
  #isComplete = false;
  /** Nobody is to hear more than what is ready. */
  #isClosed = false;
  /** What was heard of it, once it was interrupted. */
  #cutAtMs: number | undefined;
  /** All of its words, with what they take to say, heard or not. */
  #words: { readonly text: string; readonly audioMs: number } | undefined;
  /** Its line is out. */
  #isFinal: boolean;
  #isSettledUpstream = false;

  /** @param isFinal its line is out already: what comes now is late */
  constructor(itemId: string, { isFiller = false, isFinal = false } = {}) {
    this.itemId = itemId;
    this.isFiller = isFiller;
    this.#isFinal = isFinal;
  }

  // Received

  /** The worker passed on a piece. */
  told(audioMs: number, text = ''): void {
    this.#toldMs += audioMs;
    this.#toldText += text;
  }

  get hasAudio(): boolean {
    return this.#toldMs > 0;
  }

  get hasWords(): boolean {
    return this.#words !== undefined;
  }

  /** As far as they came. */
  get wordsSoFar(): { readonly text: string; readonly audioMs: number } {
    return this.#words ?? { text: this.#toldText, audioMs: this.#toldMs };
  }

  /** All of its words. They are told once: what comes after that is ignored. */
  setWords(text: string, audioMs: number): void {
    if (this.#isFinal) return;
    this.#words = { text, audioMs };
    this.#toldText = '';
  }

  get receivedMs(): number {
    return this.#receivedMs;
  }

  received(audioMs: number): void {
    this.#receivedMs += audioMs;
  }

  complete(): void {
    this.#isComplete = true;
  }

  /** Nobody is to hear more of it than is ready by now: what still comes is dropped. */
  close(): void {
    this.#isClosed = true;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The upstream has cut it, or knows it by another id: another session of the call need not know it. */
  settledUpstream(): void {
    this.#isSettledUpstream = true;
  }

  get isSettledUpstream(): boolean {
    return this.#isSettledUpstream || this.isCut;
  }

  // Delivered, heard, cut

  delivered(audioMs: number): void {
    this.#deliveredMs += audioMs;
  }

  /** A stream has played `audioMs` more; less than 0: it turns out that it has not. */
  played(audioMs: number): void {
    this.#deliveredMs += audioMs;
    this.#settledHeardMs += audioMs;
  }

  /** The playhead has passed `audioMs` more of it, or stopped there. */
  settleHeard(audioMs: number): void {
    this.#settledHeardMs += audioMs;
  }

  get settledHeardMs(): number {
    return this.#settledHeardMs;
  }

  /** Whether all of its audio has come and been handed to the client. */
  get isDelivered(): boolean {
    // Frames are cut on sample counts, so sums of milliseconds may differ in the last bits.
    return this.#isComplete && this.#deliveredMs >= this.#receivedMs - 0.5;
  }

  /** What was heard of it, where it was interrupted. */
  get cutAtMs(): number | undefined {
    return this.#cutAtMs;
  }

  get isCut(): boolean {
    return this.#cutAtMs !== undefined;
  }

  /** It was interrupted when `heardMs` of it had been heard. Only the first time counts. */
  cut(heardMs: number): void {
    this.#isClosed = true;
    this.#cutAtMs ??= heardMs;
  }

  // Its words

  /** What it is known by now to have said, once, when that is certain: all of it was delivered, or it was cut. */
  finalWords(): string | undefined {
    if (this.#isFinal || this.#words === undefined) return undefined;
    const { audioMs } = this.#words;
    if (this.#cutAtMs === undefined && !this.isDelivered) return undefined;
    this.#isFinal = true;
    // What never became ready for the client, because nobody would have listened to it, was not heard either.
    const wholeMs = this.#receivedMs < audioMs - TOLERANCE_MS ? this.#receivedMs : audioMs;
    return this.heardWords(this.#cutAtMs ?? wholeMs);
  }

  heardWords(heardMs: number): string {
    const { text, audioMs } = this.wordsSoFar;
    return cutToHeard(text, heardMs, audioMs);
  }

  get isFinal(): boolean {
    return this.#isFinal;
  }

  /** Whether nothing more can become of it. */
  get isOver(): boolean {
    // A millisecond is the resolution of the upstream's own cut.
    const isHeard = this.isCut || this.#settledHeardMs >= this.#receivedMs - 1;
    return isHeard && (this.isFiller || (this.#isComplete && this.#isFinal));
  }
}
