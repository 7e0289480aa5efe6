import { TOKEN_TYPES } from '../../metrics/labels.ts';
import type { TokenUsage } from '../../upstream/host.ts';

export type TokenType = (typeof TOKEN_TYPES)[number];

/** One call in figures: what its last log line says, and its timeline. */
export interface FiguresSnapshot {
  /** Times the caller spoke, or pressed keys, and was to be answered. */
  readonly turns: number;
  readonly interruptions: number;
  /** Upstream sockets replaced, whatever the reason. */
  readonly reconnects: number;
  readonly toolCalls: number;
  /** From create to ready. Absent: it did not get that far. */
  readonly setupMs?: number;
  /** Median of the turns that were answered, from the end of speech to the first reply audio handed over. */
  readonly medianTurnMs?: number;
  readonly tokens: Readonly<Record<TokenType, number>>;
  readonly audioSeconds: { readonly up: number; readonly down: number };
  /** Chunks that were refused, or never came in time. */
  readonly droppedChunks: number;
  /** Caller audio that was too old when the upstream came back. */
  readonly droppedAudioMs: number;
}

/** Counts what happens on one call. */
export class CallFigures {
  turns = 0;
  interruptions = 0;
  reconnects = 0;
  toolCalls = 0;
  audioUpMs = 0;
  audioDownMs = 0;
  droppedChunks = 0;
  droppedAudioMs = 0;
  setupMs: number | undefined;
  readonly #turnMs: number[] = [];
  readonly #tokens = Object.fromEntries(TOKEN_TYPES.map((type) => [type, 0])) as Record<TokenType, number>;

  /** Of the last turn that was answered. */
  get lastTurnMs(): number | undefined {
    return this.#turnMs.at(-1);
  }

  answered(turnMs: number): void {
    this.#turnMs.push(turnMs);
  }

  used(tokens: Readonly<Record<TokenType, number>>): void {
    for (const type of TOKEN_TYPES) this.#tokens[type] += tokens[type];
  }

  snapshot(): FiguresSnapshot {
    const medianTurnMs = median(this.#turnMs);
    return {
      turns: this.turns,
      interruptions: this.interruptions,
      reconnects: this.reconnects,
      toolCalls: this.toolCalls,
      ...(this.setupMs === undefined ? {} : { setupMs: Math.round(this.setupMs) }),
      ...(medianTurnMs === undefined ? {} : { medianTurnMs: Math.round(medianTurnMs) }),
      tokens: { ...this.#tokens },
      audioSeconds: { up: seconds(this.audioUpMs), down: seconds(this.audioDownMs) },
      droppedChunks: this.droppedChunks,
      droppedAudioMs: Math.round(this.droppedAudioMs),
    };
  }
}

/** Tokens by kind, each counted once: cached tokens are part of the input tokens, and cheaper. */
export function tokensByType(usage: TokenUsage): Record<TokenType, number> {
  const { inputText, inputAudio, cachedText, cachedAudio, outputText, outputAudio } = usage;
  return {
    // A server that counts otherwise must not make a counter fall.
    input_text: Math.max(0, inputText - cachedText),
    input_audio: Math.max(0, inputAudio - cachedAudio),
    cached_text: cachedText,
    cached_audio: cachedAudio,
    output_text: outputText,
    output_audio: outputAudio,
  };
}

function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
