import { monotonicNowMs } from '../../clock.ts';
import type { CostFigures } from '../../costs/call-costs.ts';
import type { EndReason } from '../end-reason.ts';
import type { Transcript } from './transcript.ts';

/** A function the model called, or what the gateway did in its place, as the summary lists it. */
export interface RecordedAction {
  readonly name: string;
  /** Absent: the model. */
  readonly by?: 'gateway';
  /** As the model gave them; its text where that is not JSON. */
  readonly arguments: unknown;
  outcome: 'running' | 'ok' | 'failed' | 'refused' | 'cancelled';
  durationMs: number;
}

/** What a call used and cost. Plain data. */
export type CallUsage = CostFigures & {
  readonly audioSeconds: { readonly up: number; readonly down: number };
};

/** What is left of a call. Plain data. */
export interface Summary {
  readonly callId: string;
  /** Milliseconds from creation to end. */
  readonly duration: number;
  /** `[User]: …` and `[AI]: …`, in the order of the conversation. */
  readonly transcript: string[];
  readonly actions: RecordedAction[];
  readonly endReason: EndReason;
  readonly aiAgentRef: string;
  readonly usage: CallUsage;
}

/** What is kept of a call: who said what, and what was done. */
export class CallRecord {
  readonly transcript: Transcript;
  readonly actions: RecordedAction[] = [];

  constructor(transcript: Transcript) {
    this.transcript = transcript;
  }

  /** Whether a function that the model called has no result yet. */
  get isToolRunning(): boolean {
    return this.actions.some(({ outcome }) => outcome === 'running');
  }

  /**
   * The gateway itself does something; it counts once the client has it.
   * @returns to be called then
   */
  doneByGateway(name: string, args: unknown): () => void {
    const startedAtMs = monotonicNowMs();
    const action: RecordedAction = { name, by: 'gateway', arguments: args, outcome: 'running', durationMs: 0 };
    this.actions.push(action);
    return () => {
      action.outcome = 'ok';
      action.durationMs = Math.round(monotonicNowMs() - startedAtMs);
    };
  }

  summary(callId: string, durationMs: number, endReason: EndReason): Omit<Summary, 'aiAgentRef' | 'usage'> {
    return {
      callId,
      duration: Math.round(durationMs),
      transcript: this.transcript.conversation.lines(),
      // What still ran when the call ended was given up with it.
      actions: this.actions.map((action) => ({
        ...action,
        outcome: action.outcome === 'running' ? 'cancelled' : action.outcome,
      })),
      endReason,
    };
  }
}
