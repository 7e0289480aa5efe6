/** A block louder than this is speech: -40 dBFS, above the noise that microphones have left after noise suppression. */
const SPEECH_RMS = 328;
/** A pause this long is the end of what was said; shorter ones are between words. */
const PAUSE_MS = 300;
/** Somebody who is loud for less than this coughed. */
const MIN_SPEECH_MS = 160;

/** What was measured at this end of the line, where the caller's ears are. */
export type Heard =
  /** From the caller's last word to the agent's first. */
  | { readonly kind: 'answered'; readonly latencyMs: number }
  /** From the caller's first word to the agent's falling silent. */
  | { readonly kind: 'interrupted'; readonly reactionMs: number };

/**
 * Listens to both sides, block by block, and measures what a caller feels: how long the agent takes to answer and to
 * fall silent. All of the way is in it: both networks' buffers, the detection of the end of speech, the AI.
 */
export class TurnClock {
  readonly #onHeard: (heard: Heard) => void;
  #nowMs = 0;
  readonly #caller = new Speaker();
  readonly #agent = new Speaker();
  /** When the caller's last words ended, until they are answered. */
  #waitingSinceMs: number | undefined;
  /** When the caller began to talk over the agent, until the agent is silent. */
  #talkingOverSinceMs: number | undefined;

  constructor(onHeard: (heard: Heard) => void) {
    this.#onHeard = onHeard;
  }

  /** What was recorded and what was played during the next `blockMs`. */
  block(blockMs: number, callerRms: number, agentRms: number): void {
    this.#nowMs += blockMs;
    const wasAgentSpeaking = this.#agent.isSpeaking;
    const wasCallerSpeaking = this.#caller.isSpeaking;
    this.#agent.hears(agentRms >= SPEECH_RMS, this.#nowMs, blockMs);
    this.#caller.hears(callerRms >= SPEECH_RMS, this.#nowMs, blockMs);
    if (this.#caller.isSpeaking && !wasCallerSpeaking) {
      this.#waitingSinceMs = undefined;
      if (this.#agent.isSpeaking) this.#talkingOverSinceMs = this.#caller.sinceMs;
    }
    if (!this.#caller.isSpeaking && wasCallerSpeaking && this.#caller.spokenMs >= MIN_SPEECH_MS) {
      this.#waitingSinceMs = this.#caller.lastMs;
    }
    if (!this.#agent.isSpeaking && wasAgentSpeaking && this.#talkingOverSinceMs !== undefined) {
      const reactionMs = this.#agent.lastMs - this.#talkingOverSinceMs;
      this.#talkingOverSinceMs = undefined;
      if (reactionMs > 0) this.#onHeard({ kind: 'interrupted', reactionMs });
    }
    if (this.#agent.isSpeaking && this.#waitingSinceMs !== undefined && this.#agent.sinceMs >= this.#waitingSinceMs) {
      this.#onHeard({ kind: 'answered', latencyMs: this.#agent.sinceMs - this.#waitingSinceMs });
      this.#waitingSinceMs = undefined;
    }
  }
}

/** One side: whether it speaks, since when, and when it was last loud. */
class Speaker {
  isSpeaking = false;
  sinceMs = 0;
  lastMs = 0;

  get spokenMs(): number {
    return this.lastMs - this.sinceMs;
  }

  hears(isLoud: boolean, nowMs: number, blockMs: number): void {
    if (isLoud) {
      if (!this.isSpeaking) this.sinceMs = nowMs - blockMs;
      this.isSpeaking = true;
      this.lastMs = nowMs;
    } else if (this.isSpeaking && nowMs - this.lastMs >= PAUSE_MS) {
      this.isSpeaking = false;
    }
  }
}

/** Root of the mean square of samples. */
export function rmsOf(samples: Int16Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length);
}
