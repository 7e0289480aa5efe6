import type { ReplayItem } from '../upstream/conversation.ts';
import type { ConversationHost, ToolCall, ToolResult } from '../upstream/host.ts';
import type { ConversationSettings } from '../upstream/settings.ts';
import type { EventSender } from './event-sender.ts';
import { afterTool } from './own-words.ts';
import { RecentIds } from './recent-ids.ts';
import { toolOutput } from './replay.ts';
import type { ResponseScheduler } from './response-scheduler.ts';

export interface ToolRunnerParts {
  readonly link: EventSender;
  readonly host: ConversationHost;
  readonly responses: Pick<ResponseScheduler, 'request'>;
  readonly settings: Pick<ConversationSettings, 'toolChoice'>;
}

interface Round {
  open: number;
  responseDone: boolean;
  respond: boolean;
}

/** Stands for the response of calls that an earlier session of the same conversation made. */
const EARLIER = '';

/**
 * Runs the functions that a response calls. Each result goes back as soon as it is there; when the response is done
 * and all its results are in, the model is asked once to go on.
 */
export class ToolRunner {
  readonly #parts: ToolRunnerParts;
  readonly #rounds = new Map<string, Round>();
  /** Tool calls that were made. */
  readonly #called = new RecentIds();
  /** Responses that made them. */
  readonly #calling = new RecentIds();
  /** Results that no connection took yet, by tool call. */
  readonly #unsent = new Map<string, string>();

  constructor(parts: ToolRunnerParts) {
    this.#parts = parts;
  }

  /** Whether tools run or results wait to be told. */
  get isBusy(): boolean {
    return this.#rounds.size > 0;
  }

  /** Whether a response has called a function. */
  hasCalled(responseId: string): boolean {
    return this.#calling.has(responseId);
  }

  /** A call that the server tells twice is made once. */
  call(responseId: string, call: ToolCall): void {
    if (!this.#called.add(call.toolCallId)) return;
    this.#calling.add(responseId);
    const round = this.#rounds.get(responseId) ?? { open: 0, responseDone: false, respond: false };
    this.#rounds.set(responseId, round);
    this.#parts.host.audio({ kind: 'tool', toolCallId: call.toolCallId });
    this.#run(responseId, round, call);
  }

  /** Waits for the calls that an earlier session made and did not see the results of. */
  takeOver(replay: readonly ReplayItem[]): void {
    const calls = replay.filter((item) => item.kind === 'tool' && item.output === undefined) as ToolCall[];
    if (calls.length === 0) return;
    const round: Round = { open: 0, responseDone: true, respond: false };
    this.#rounds.set(EARLIER, round);
    for (const call of calls) {
      const { itemId, toolCallId, name, arguments: args } = call;
      this.#run(EARLIER, round, { itemId, toolCallId, name, arguments: args });
    }
  }

  responseDone(responseId: string): void {
    const round = this.#rounds.get(responseId);
    if (!round) return;
    round.responseDone = true;
    this.#finish(responseId, round);
  }

  /** The conversation goes on over a new connection, which was told `replayed`. */
  restored(replayed: readonly ReplayItem[]): void {
    for (const [toolCallId, output] of this.#unsent) {
      const known = replayed.find((item) => item.kind === 'tool' && item.toolCallId === toolCallId);
      // A call that the new session was not told of cannot be answered there.
      if (known?.kind === 'tool' && known.output === undefined) this.#parts.link.send(toolOutput(toolCallId, output));
    }
    this.#unsent.clear();
    // Responses of the lost connection will never be done.
    for (const [responseId, round] of [...this.#rounds]) {
      round.responseDone = true;
      this.#finish(responseId, round);
    }
  }

  #run(responseId: string, round: Round, call: ToolCall): void {
    round.open += 1;
    void this.#parts.host
      .runTool(call)
      .catch((error: Error): ToolResult => ({ output: JSON.stringify({ error: error.message }), respond: true }))
      .then(({ output, respond }) => {
        if (!this.#parts.link.send(toolOutput(call.toolCallId, output))) this.#unsent.set(call.toolCallId, output);
        round.open -= 1;
        round.respond ||= respond;
        this.#finish(responseId, round);
      });
  }

  #finish(responseId: string, round: Round): void {
    if (round.open > 0 || !round.responseDone || this.#rounds.get(responseId) !== round) return;
    this.#rounds.delete(responseId);
    if (round.respond) this.#parts.responses.request(afterTool(this.#parts.settings));
  }
}
