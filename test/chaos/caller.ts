import { type Answer, TestCall } from '../support/call.ts';
import type { Utterance } from '../support/caller.ts';
import { type Line, spoken } from './line.ts';

/** How long a caller waits before giving up on an answer and going on. */
const PATIENCE_MS = 5_000;
const POLL_MS = 300;
/** So many empty polls after audio: the reply is over. */
const QUIET_POLLS = 2;

/** A step of a conversation that is over, or whose gateway is gone: nothing more can be played. */
export class CallOver extends Error {}

/** A caller who asks, listens as long as there is something to hear, and writes down what should not have been. */
export class Caller {
  readonly call: TestCall;
  protected readonly line: Line;
  protected readonly patienceMs: number;
  /** The simulator's connections of this call, oldest first. */
  protected readonly connections: readonly unknown[];
  /** What went wrong with the gateway's answers. */
  readonly problems: string[] = [];
  #heardMs = 0;

  /**
   * @param connections those of this call upstream, as they come
   * @param patienceMs how long it waits for an answer before it goes on
   */
  constructor(url: string, callId: string, line: Line, connections: readonly unknown[], patienceMs = PATIENCE_MS) {
    this.patienceMs = patienceMs;
    this.call = new TestCall(url, callId);
    this.line = line;
    this.connections = connections;
  }

  create(aiAgentRef: string): Promise<Answer> {
    return this.call.create({ aiAgentRef, ...this.line.format });
  }

  /** Audio that the gateway has delivered. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Whether the gateway said that nothing more comes. */
  get isOver(): boolean {
    return !this.call.hasMore;
  }

  /** One request, whose answer must be 200; 404 once the call is over. @throws CallOver when there is none */
  async request(name: string, send: () => Promise<Answer>): Promise<Answer> {
    let answer: Answer;
    try {
      answer = await send();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const problem = `${name} got no answer (${code ?? message})`;
      this.problems.push(problem);
      throw new CallOver(problem);
    }
    const { status, body } = answer;
    const isExpected = status === 200 || (status === 404 && this.isOver) || (name === 'stream' && status === 503);
    if (!isExpected) this.problems.push(`${name} answered ${status} ${body?.code ?? ''}`.trim());
    if (status === 404) throw new CallOver(`${name} answered 404`);
    return answer;
  }

  async #poll(timeoutMs: number): Promise<boolean> {
    const { call } = this;
    const answer = await this.request('response', () => call.poll(`timeout=${timeoutMs}`));
    const bytes = call.heard.reduce((sum, { length }) => sum + length, 0);
    call.heard.length = 0;
    this.#heardMs += bytes / this.line.bytesPerMs;
    return bytes > 0 || Boolean(answer.body.transcript);
  }

  /** Says something, silence behind it and all. */
  async say(utterance: Utterance): Promise<void> {
    if (this.isOver) throw new CallOver('the call is over');
    const audio = spoken(utterance, this.line);
    // Once the gateway has ended the call it may not have told so yet.
    const answer = await this.request('stream', () => this.call.send(audio)).catch(async (error) => {
      await this.#poll(0).catch(() => {});
      throw error;
    });
    if (answer.status !== 200) await this.#poll(0);
  }

  /** Says something and listens to the answer. @returns whether one came, or the call came to its end */
  async ask(utterance: Utterance, patienceMs = this.patienceMs): Promise<boolean> {
    await this.say(utterance);
    return this.listen(patienceMs);
  }

  /** Listens until a reply has begun and is over, and plays it. @returns whether one came, or the call came to its end */
  async listen(patienceMs = this.patienceMs): Promise<boolean> {
    const { call } = this;
    const endsAtMs = performance.now() + patienceMs;
    const heardBefore = this.#heardMs;
    const isAnswered = () =>
      this.#heardMs > heardBefore || call.lines.slice(linesBefore).some((line) => line.startsWith('[AI]'));
    const linesBefore = call.lines.length;
    let quiet = 0;
    while (!this.isOver && quiet < QUIET_POLLS && performance.now() < endsAtMs) {
      const came = await this.#poll(POLL_MS);
      quiet = came || !isAnswered() ? 0 : quiet + 1;
    }
    await this.play();
    return this.isOver || isAnswered();
  }

  /** Listens until so much of a reply has been delivered. */
  async hear(ms: number, patienceMs = this.patienceMs): Promise<void> {
    const endsAtMs = performance.now() + patienceMs;
    const wantedMs = this.#heardMs + ms;
    while (!this.isOver && this.#heardMs < wantedMs && performance.now() < endsAtMs) await this.#poll(POLL_MS);
  }

  /** Has played what was delivered, or the first `ms` of it. */
  async play(ms = 600_000): Promise<void> {
    if (this.isOver) return;
    const { call } = this;
    await this.request('response', () => call.poll(`timeout=0&maxMs=1&generation=${call.generation}&playedMs=${ms}`));
  }

  /** Waits for the call to be on its `count`-th connection. */
  async connected(count: number, patienceMs = this.patienceMs): Promise<void> {
    const endsAtMs = performance.now() + patienceMs;
    while (!this.isOver && this.connections.length < count && performance.now() < endsAtMs) await this.#poll(POLL_MS);
  }

  /** Leaves nothing open. Idempotent. */
  hangUp(): void {}

  /** Waits for whatever is still on its way, and plays it. */
  async settle(patienceMs = this.patienceMs): Promise<void> {
    const endsAtMs = performance.now() + patienceMs;
    while (!this.isOver && performance.now() < endsAtMs && (await this.#poll(POLL_MS)));
    await this.play();
  }
}
