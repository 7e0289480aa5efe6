export interface GreetingOptions {
  /** What the agent is told about what to say. */
  readonly instructions: string;
  readonly interruptible: boolean;
}

/** What the agent says first: whether it has been said, and whether it may be interrupted. */
export class Greeting {
  readonly #options: GreetingOptions | undefined;
  #state: 'pending' | 'asked' | 'over';
  #responseId: string | undefined;

  /** @param isOpen whether it is still to be said, or to be finished */
  constructor(options: GreetingOptions | undefined, isOpen: boolean) {
    this.#options = options;
    this.#state = options && isOpen ? 'pending' : 'over';
  }

  /** Whether it is still being generated, or will be, and nothing may interrupt it. */
  get isProtected(): boolean {
    return this.#state !== 'over' && this.#options?.interruptible === false;
  }

  /** The response that says it. */
  get responseId(): string | undefined {
    return this.#responseId;
  }

  /** What is to be asked for, once; undefined: there is nothing to say. */
  ask(): string | undefined {
    if (this.#state !== 'pending') return undefined;
    this.#state = 'asked';
    return this.#options?.instructions;
  }

  /** A response has begun that says it. */
  started(responseId: string): void {
    this.#responseId = responseId;
  }

  /** Whether a response is one that is to be played to its end. */
  protects(responseId: string): boolean {
    return responseId === this.#responseId && this.#options?.interruptible === false;
  }

  /** It is generated. @returns whether it was protected until now */
  end(): boolean {
    const wasProtected = this.isProtected;
    this.#state = 'over';
    return wasProtected;
  }
}
