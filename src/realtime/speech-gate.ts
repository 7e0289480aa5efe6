import { VoiceGuard } from './voice-guard.ts';

/** What a stretch of the caller's speech is taken for. */
export type SpeechVerdict = 'turn' | 'ignored';

export interface SpeechGateListener {
  /** Speech has become long enough to interrupt. */
  onInterruption(startedAtMs: number): void;
}

interface Stretch {
  readonly itemId: string;
  readonly startedAtMs: number;
  readonly verdict: PromiseWithResolvers<SpeechVerdict>;
  /** Whether there is something that it would interrupt; undefined: being asked. */
  interrupts: boolean | undefined;
  isOver: boolean;
}

/**
 * Decides about speech where short noises are not to interrupt: what is long enough, or interrupts nothing, is a turn;
 * what stays shorter is ignored. A verdict may come after the server has reported the end of the speech.
 */
export class SpeechGate {
  readonly #voice: VoiceGuard;
  readonly #listener: SpeechGateListener;
  #stretch: Stretch | undefined;
  readonly #verdicts = new Map<string, Promise<SpeechVerdict>>();

  /**
   * @param minSpeechMs shorter speech is ignored while it would interrupt; 0: the gate is off, all speech is a turn
   */
  constructor(minSpeechMs: number, listener: SpeechGateListener) {
    this.#voice = new VoiceGuard(minSpeechMs);
    this.#listener = listener;
  }

  get isOn(): boolean {
    return this.#voice.isOn;
  }

  /** Whether speech goes on of which it is not known yet whether it interrupts. */
  get isDeciding(): boolean {
    return this.#stretch !== undefined;
  }

  /** Caller audio was sent. */
  heard(audioMs: number, voicedMs: number): void {
    if (!this.isOn) return;
    this.#voice.add(audioMs, voicedMs);
    if (this.#stretch?.interrupts && this.#voice.isSpeech) this.#interrupt(this.#stretch);
  }

  /** @param interrupts whether there is something that the speech would interrupt */
  started(itemId: string, startedAtMs: number, interrupts: Promise<boolean>): void {
    this.lost();
    const stretch: Stretch = {
      itemId,
      startedAtMs,
      verdict: Promise.withResolvers(),
      interrupts: undefined,
      isOver: false,
    };
    this.#stretch = stretch;
    this.#verdicts.set(itemId, stretch.verdict.promise);
    void interrupts
      .catch(() => false)
      .then((answer) => {
        if (this.#stretch !== stretch) return;
        stretch.interrupts = answer;
        if (!answer) this.#decide(stretch, 'turn');
        else if (this.#voice.isSpeech) this.#interrupt(stretch);
        else if (stretch.isOver) this.#decide(stretch, 'ignored');
      });
  }

  stopped(itemId: string): void {
    const stretch = this.#stretch;
    if (stretch?.itemId !== itemId) return;
    stretch.isOver = true;
    if (stretch.interrupts) this.#decide(stretch, 'ignored');
  }

  /** What was decided, or will be, about an item that the server made of speech. */
  async verdictOf(itemId: string): Promise<SpeechVerdict> {
    return this.#verdicts.get(itemId) ?? 'turn';
  }

  /** The speech that goes on is no longer followed, as when the connection that reported it is lost. */
  lost(): void {
    if (this.#stretch) this.#decide(this.#stretch, 'turn');
  }

  #interrupt(stretch: Stretch): void {
    this.#decide(stretch, 'turn');
    this.#listener.onInterruption(stretch.startedAtMs);
  }

  #decide(stretch: Stretch, verdict: SpeechVerdict): void {
    this.#stretch = undefined;
    this.#voice.reset();
    stretch.verdict.resolve(verdict);
  }
}
