import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Member } from './directory.ts';
import { isRefusal, type Peers, passedOn } from './peers.ts';
import { NOT_HERE } from './proof.ts';
import { RelayedAnswer } from './relayed-answer.ts';

export type ForwardOutcome =
  /** The client has the answer, or has gone. */
  | 'answered'
  /** The node does not have the call. Nothing has been answered. */
  | 'not_here'
  /** Nobody listens there. Nothing has been answered. */
  | 'refused'
  /** There was no answer. Nothing has been answered. */
  | 'silent'
  /** The answer, or a body that cannot be sent twice, broke off: so did the client's connection. */
  | 'broken';

/** A request on its way through this node to another. Meanwhile it costs a socket. */
export interface ForwardedRequest {
  readonly target: Member;
  /** Resolves when nothing more is to be done for the client from here, or when another node is to be tried. */
  send(): Promise<ForwardOutcome>;
  /** The node is dead: nothing more will come of it. */
  abort(reason: Error): void;
}

/** A request whose body is here, so that it may be sent again. Its answer is passed on as it comes. */
export class Forward implements ForwardedRequest, Dispatcher.DispatchHandler {
  readonly target: Member;
  readonly #peers: Peers;
  readonly #request: FastifyRequest;
  readonly #answer: RelayedAnswer;
  readonly #body: Buffer | null;
  readonly #done = Promise.withResolvers<ForwardOutcome>();
  #controller: Dispatcher.DispatchController | undefined;
  /** Why it is given up, where that was before it began. */
  #abortReason: Error | undefined;
  #isNotHere = false;
  #isOver = false;

  constructor(peers: Peers, target: Member, request: FastifyRequest, reply: FastifyReply, body: Buffer | undefined) {
    this.target = target;
    this.#peers = peers;
    this.#request = request;
    this.#body = body ?? null;
    this.#answer = new RelayedAnswer(reply, () => this.abort(new Error('the client has gone')));
  }

  send(): Promise<ForwardOutcome> {
    const { raw, scope, id } = this.#request;
    const headers = passedOn(raw.rawHeaders);
    headers['x-request-id'] = id;
    if (this.#answer.isClientGone) this.#end('answered');
    else {
      const method = raw.method as Dispatcher.HttpMethod;
      try {
        this.#peers.dispatch(this.target, { method, path: raw.url ?? '/', headers, body: this.#body }, scope, this);
      } catch (error) {
        this.onResponseError(undefined, error as Error);
      }
    }
    return this.#done.promise;
  }

  abort(reason: Error): void {
    if (this.#isOver) return;
    if (this.#controller) this.#controller.abort(reason);
    else this.#abortReason = reason;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason) controller.abort(this.#abortReason);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    if (headers[NOT_HERE] !== undefined) this.#isNotHere = true;
    else this.#answer.begin(status, headers, () => controller.resume());
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (!this.#isNotHere && !this.#answer.write(piece)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#isNotHere) this.#end('not_here');
    else {
      this.#answer.end();
      this.#end('answered');
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#answer.isClientGone) this.#end('answered');
    else if (this.#answer.isBegun) this.#end('broken');
    else this.#end(isRefusal(error) ? 'refused' : 'silent');
  }

  #end(outcome: ForwardOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (outcome === 'broken') this.#answer.breakOff();
    else this.#answer.release();
    this.#done.resolve(outcome);
  }
}
