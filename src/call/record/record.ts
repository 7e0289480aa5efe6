import { monotonicNowMs } from '../../clock.ts';
import type { CostFigures } from '../../costs/call-costs.ts';
import { Conversation, UNINTELLIGIBLE, userLine } from '../../upstream/conversation.ts';
import type { EndReason } from '../end-reason.ts';
import type { PlaybackLedger } from '../reply/playback-ledger.ts';
import { Replies } from '../reply/replies.ts';
import { TranscriptLines } from './lines.ts';

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
  readonly conversation = new Conversation();
  readonly lines = new TranscriptLines(monotonicNowMs);
  readonly replies: Replies;
  readonly actions: RecordedAction[] = [];
  #lineCount = 0;
  #onLine: (line: string) => void;
  #removed = new Set<string>();

  /** @param onLine given each transcript line when it is certain */
  constructor(ledger: PlaybackLedger, onLine: (line: string) => void) {
    this.#onLine = onLine;
    this.replies = new Replies(this.conversation, ledger, this.lines, (line) => this.#line(line));
  }

  /** Transcript lines so far. */
  get lineCount(): number {
    return this.#lineCount;
  }

  addItem(itemId: string, previousItemId: string | null, role: 'user' | 'assistant' | 'tool', atMs: number): void {
    this.conversation.add(itemId, previousItemId, role);
    if (role !== 'tool') this.lines.begun(itemId, atMs);
  }

  renameItem(itemId: string, newItemId: string): void {
    this.conversation.rename(itemId, newItemId);
    this.lines.renamed(itemId, newItemId);
  }

  /** The caller's words; null: they could not be transcribed. */
  userText(itemId: string, text: string | null): void {
    if (this.#removed.has(itemId)) return;
    this.conversation.setText(itemId, 'user', text);
    if (text === '') return;
    this.lines.userSaid(itemId, text ?? UNINTELLIGIBLE);
    this.#line(userLine(text));
  }

  /** Turns whose words will not come any more, because the connection that would have told them is gone. */
  giveUpTranscripts(): void {
    for (const itemId of this.conversation.untranscribed()) this.userText(itemId, null);
  }

  removeItem(itemId: string): void {
    this.#removed.add(itemId);
    this.conversation.remove(itemId);
    this.lines.removed(itemId);
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
      transcript: this.conversation.lines(),
      // What still ran when the call ended was given up with it.
      actions: this.actions.map((action) => ({
        ...action,
        outcome: action.outcome === 'running' ? 'cancelled' : action.outcome,
      })),
      endReason,
    };
  }

  #line(line: string): void {
    this.#lineCount += 1;
    this.#onLine(line);
  }
}
