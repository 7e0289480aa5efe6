/** Whether a turn of the caller waits for its answer, and which response is about to give it. */
export class OwedAnswer {
  #isOwed = false;
  #responseId: string | undefined;

  get isOwed(): boolean {
    return this.#isOwed;
  }

  /** The caller has said or pressed something. Responses that ran before do not answer it. */
  owe(): void {
    this.#isOwed = true;
    this.#responseId = undefined;
  }

  /** A response has begun that nothing speaks against being the answer. */
  started(responseId: string): void {
    if (this.#isOwed) this.#responseId ??= responseId;
  }

  /** A response came to nothing: another one may answer. */
  failed(responseId: string): void {
    if (responseId === this.#responseId) this.#responseId = undefined;
  }

  /** A response is over, or the caller does not wait for the rest of it. */
  given(responseId: string): void {
    if (responseId === this.#responseId) this.#isOwed = false;
  }

  /**
   * The connection is gone, and with it the response that was to be the answer.
   * @param isGiven whether all of it, or all that the caller waits for, came
   */
  connectionLeft(isGiven: (responseId: string) => boolean): void {
    if (this.#responseId !== undefined && isGiven(this.#responseId)) this.#isOwed = false;
    // The next one has an answer of its own to give.
    this.#responseId = undefined;
  }
}
