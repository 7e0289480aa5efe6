import type { GreetingSetup } from '../upstream/ai-conversation.ts';

/** What the agent says first: whether it has been said, and whether it may be interrupted. */
export class Greeting {
  readonly #greeting: GreetingSetup | undefined;
  #state: 'pending' | 'asked' | 'over';
  #responseId: string | undefined;

  /** @param isOpen whether it is still to be said, or to be finished */
  constructor(greeting: GreetingSetup | undefined, isOpen: boolean) {
    this.#greeting = greeting;
    this.#state = greeting && isOpen ? 'pending' : 'over';
  }

  /** Whether it is still being generated, or will be, and nothing may interrupt it. */
  get isProtected(): boolean {
    return this.#state !== 'over' && this.#greeting?.interruptible === false;
  }

  /** The response that says it. */
  get responseId(): string | undefined {
    return this.#responseId;
  }

  /** What is to be asked for, once; undefined: there is nothing to say. */
  ask(): string | undefined {
    if (this.#state !== 'pending') return undefined;
    this.#state = 'asked';
    return this.#greeting?.instructions;
  }

  /** A response has begun that says it. */
  started(responseId: string): void {
    this.#responseId = responseId;
  }

  /** Whether a response is one that is to be played to its end. */
  protects(responseId: string): boolean {
    return responseId === this.#responseId && this.#greeting?.interruptible === false;
  }

  /** It is generated. @returns whether it was protected until now */
  end(): boolean {
    const wasProtected = this.isProtected;
    this.#state = 'over';
    return wasProtected;
  }
}
