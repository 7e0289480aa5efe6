import type { Clock } from '../clock.ts';
import type { ConversationHost } from '../upstream/host.ts';
import type { CallerListener } from './caller-turns.ts';
import type { Greeting } from './greeting.ts';
import type { Interrupter } from './interrupter.ts';
import type { OwedAnswer } from './owed-answer.ts';
import type { ReplyItems } from './reply-items.ts';
import type { ResponseScheduler } from './response-scheduler.ts';
import type { RunningResponses } from './running-responses.ts';
import type { SessionConfig } from './session-config.ts';

export interface TurnTakingParts {
  readonly host: ConversationHost;
  readonly config: SessionConfig;
  readonly greeting: Greeting;
  readonly answer: OwedAnswer;
  readonly items: ReplyItems;
  readonly running: RunningResponses;
  readonly responses: ResponseScheduler;
  readonly interrupter: Interrupter;
  readonly nowMs: Clock;
}

/** What the caller's speech and keys do to the agent's: interrupt it, keep it waiting, have it answer. */
export class TurnTaking implements CallerListener {
  readonly #parts: TurnTakingParts;
  #closed = false;

  constructor(parts: TurnTakingParts) {
    this.#parts = parts;
  }

  onSpeech(): void {
    this.#parts.responses.hold();
  }

  onSpeechOver(): void {
    if (this.#parts.config.isServerInterrupting) this.#parts.responses.release(true);
  }

  onNoise(): void {
    this.#parts.responses.release(false);
  }

  async canBeInterrupted(): Promise<boolean> {
    const { host, greeting, running, items } = this.#parts;
    if (greeting.isProtected) return false;
    return running.size > 0 || (await host.isPlaying(items.open()));
  }

  onInterruption(startedAtMs: number): void {
    void this.#interrupt(startedAtMs, !this.#parts.config.isServerInterrupting);
  }

  onTurn(isAssumed: boolean): void {
    const { config, answer, items, running, responses } = this.#parts;
    // What has begun since the caller stopped is the answer.
    if (isAssumed && config.isServerInterrupting && responses.isAsked) return;
    answer.owe();
    if (!config.isServerInterrupting) {
      responses.release(false);
      responses.request();
      return;
    }
    // A server that interrupts would have ended these when the turn began; one that has not will not answer the turn.
    for (const responseId of running.ids()) {
      items.interrupt(responseId);
      responses.cancel(responseId);
    }
  }

  onKeys(): void {
    const { answer, responses, nowMs } = this.#parts;
    answer.owe();
    // A key press interrupts as speech does, but the server does not cancel for it.
    void this.#interrupt(nowMs(), true).then(() => {
      if (!this.#closed) responses.request();
    });
  }

  /** Asks for nothing any more. Idempotent. */
  close(): void {
    this.#closed = true;
  }

  /** @param cancel whether the running responses have to be cancelled from here */
  async #interrupt(startedAtMs: number, cancel: boolean): Promise<void> {
    const { greeting, running, interrupter } = this.#parts;
    // Nothing comes before the greeting, so there is nothing else to interrupt either.
    if (greeting.isProtected) return;
    await interrupter.interrupt({ startedAtMs, active: new Set(running.ids()), cancel });
  }
}
