import { type CallContext, RETRY_PAUSE_MS, sleepMs } from './call-context.ts';
import type { LaneAnswer } from './http-lane.ts';
import { type Answer, ask, type Outcome, type RequestKind } from './requests.ts';

/** The call that requests are made for. */
export interface RequestingCall {
  readonly callId: string;
  readonly isOver: boolean;
  /** A poll beside the chunks is told how the call ends. */
  readonly isPolledBeside: boolean;
  /** A chunk was never part of the call. */
  chunkRefused(): void;
  /** The gateway does not know the call. */
  gone(): void;
}

/** Sends the requests of one call, and counts what becomes of them. */
export class CallRequests {
  readonly #context: CallContext;
  readonly #call: RequestingCall;

  constructor(context: CallContext, call: RequestingCall) {
    this.#context = context;
    this.#call = call;
  }

  /** Sends a request. Returns undefined when there is nothing to go on with. */
  async ask(kind: RequestKind, request: () => Promise<LaneAnswer>): Promise<Answer | undefined> {
    this.#context.stats.count('requests');
    const outcome = await ask(kind, request);
    if (outcome.type === 'answered') return outcome.answer;
    if (outcome.type === 'unanswered') this.#context.stats.error(outcome.error);
    else await this.#onRefused(kind, outcome);
    return undefined;
  }

  /**
   * Sends a chunk, and once more where nobody knows whether it arrived: its number makes that safe.
   * @returns the answer, and whether the chunk's number is used
   */
  async askStream(request: () => Promise<LaneAnswer>): Promise<{ answer?: Answer; isNumberUsed: boolean }> {
    const { stats } = this.#context;
    for (let attempt = 0; attempt < 2; attempt++) {
      stats.count('requests');
      const outcome = await ask('stream', request);
      if (outcome.type === 'answered') return { answer: outcome.answer, isNumberUsed: true };
      if (outcome.type === 'refused') {
        await this.#onRefused('stream', outcome);
        return { isNumberUsed: outcome.status !== 503 };
      }
      stats.error(outcome.error);
    }
    return { isNumberUsed: true };
  }

  async #onRefused(kind: RequestKind, { status, error, why }: Extract<Outcome, { type: 'refused' }>): Promise<void> {
    const { stats } = this.#context;
    const isUnknown = status === 404 && kind !== 'create';
    // The agent hung up while a chunk was under way; the poll beside it is just being told.
    if (isUnknown && this.#call.isPolledBeside && !this.#call.isOver) await sleepMs(RETRY_PAUSE_MS);
    if (isUnknown && this.#call.isOver) return;
    stats.error(error);
    if (why) stats.note(`${this.#call.callId} ${kind}: ${why}`);
    if (kind === 'stream') {
      stats.count('refused');
      this.#call.chunkRefused();
    }
    if (isUnknown) this.#call.gone();
  }
}
