import type { SessionState } from './call-info.ts';
import type { EndReason } from './end-reason.ts';

/** How a call stands: it is being created, goes on, ends, has ended; and why. Its life moves it on, others read it. */
export class CallStanding {
  #state: SessionState = 'creating';
  #endReason: EndReason | undefined;
  #error: string | undefined;
  #isHandedOver = false;

  get state(): SessionState {
    return this.#state;
  }

  /** Ending or ended. */
  get isOver(): boolean {
    return this.#state === 'ending' || this.#state === 'ended';
  }

  /** Nothing more is said but what is queued for the client. */
  get isSaidOut(): boolean {
    return this.#isHandedOver || this.#state === 'ended';
  }

  get endReason(): EndReason | undefined {
    return this.#endReason;
  }

  /** Why the call could not go on, where it could not. */
  get error(): string | undefined {
    return this.#error;
  }

  /** In words. */
  get whyOver(): string {
    return `its session has ended (${this.#endReason ?? 'completed'}${this.#error ? `: ${this.#error}` : ''})`;
  }

  opened(): void {
    this.#state = 'active';
  }

  ending(reason: EndReason, error: string | undefined): void {
    this.#state = 'ending';
    this.#endReason = reason;
    this.#error = error;
  }

  /** Everything that is still to be delivered is in the outbox. */
  handedOver(): void {
    this.#isHandedOver = true;
  }

  ended(): void {
    this.#state = 'ended';
  }
}
