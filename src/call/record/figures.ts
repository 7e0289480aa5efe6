import type { CostFigures } from '../../costs/call-costs.ts';

/** One call in figures: what its last log line says, and its timeline. */
export interface FiguresSnapshot extends CostFigures {
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

  /** Of the last turn that was answered. */
  get lastTurnMs(): number | undefined {
    return this.#turnMs.at(-1);
  }

  answered(turnMs: number): void {
    this.#turnMs.push(turnMs);
  }

  snapshot(costs: CostFigures): FiguresSnapshot {
    const medianTurnMs = median(this.#turnMs);
    return {
      turns: this.turns,
      interruptions: this.interruptions,
      reconnects: this.reconnects,
      toolCalls: this.toolCalls,
      ...(this.setupMs === undefined ? {} : { setupMs: Math.round(this.setupMs) }),
      ...(medianTurnMs === undefined ? {} : { medianTurnMs: Math.round(medianTurnMs) }),
      ...costs,
      audioSeconds: { up: seconds(this.audioUpMs), down: seconds(this.audioDownMs) },
      droppedChunks: this.droppedChunks,
      droppedAudioMs: Math.round(this.droppedAudioMs),
    };
  }
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
