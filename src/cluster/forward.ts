import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { asHttpRequest } from '../http/http-request.ts';
import type { Member } from './directory.ts';
import { isRefusal, type Peers, passedOn } from './peers.ts';
import { NOT_HERE } from './proof.ts';

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

/** Headers of an answer that concern one connection. */
const NOT_RELAYED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'proxy-connection']);

/**
 * One request on its way through this node to another: both bodies are passed on as they come, and meanwhile it costs a
 * socket.
 */
export class Forward implements Dispatcher.DispatchHandler {
  readonly target: Member;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #isStreamed: boolean;
  readonly #body: Buffer | Readable | null;
  readonly #done = Promise.withResolvers<ForwardOutcome>();
  readonly #onClose = () => this.#clientGone();
  #controller: Dispatcher.DispatchController | undefined;
  /** How it ended before there was anybody to tell. */
  #abortReason: Error | undefined;
  #isAnswering = false;
  #hasSentBody = false;
  #isNotHere = false;
  #isOver = false;

  /** @param body the whole of it; undefined: it is passed on as it comes, once */
  constructor(target: Member, request: FastifyRequest, reply: FastifyReply, body: Buffer | undefined) {
    this.target = target;
    this.#request = request;
    this.#reply = reply;
    this.#isStreamed = body === undefined && hasBody(request);
    this.#body = this.#isStreamed ? new Readable({ read: () => this.#wantsMore() }) : (body ?? null);
  }

  /** Resolves when nothing more is to be done for the client from here, or when another node is to be tried. */
  send(peers: Peers): Promise<ForwardOutcome> {
    const { raw } = this.#request;
    const headers = passedOn(raw.rawHeaders);
    headers['x-request-id'] = this.#request.id;
    this.#reply.raw.once('close', this.#onClose);
    if (this.#reply.raw.destroyed) {
      this.#end('answered');
      return this.#done.promise;
    }
    try {
      const request = { method: raw.method as Dispatcher.HttpMethod, path: raw.url ?? '/', headers, body: this.#body };
      // A streamed body is a call's: its answer begins before it has ended.
      peers.dispatch(this.target, { ...request, blocking: true }, this.#request.scope, this);
    } catch (error) {
      this.onResponseError(undefined, error as Error);
    }
    return this.#done.promise;
  }

  /** The node is dead: nothing more will come of it. */
  abort(reason: Error): void {
    if (this.#isOver) return;
    if (this.#controller) this.#controller.abort(reason);
    else this.#abortReason = reason;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason) {
      controller.abort(this.#abortReason);
      return;
    }
    const body = this.#body;
    if (!(body instanceof Readable) || this.#hasSentBody) return;
    // Only now is there somebody to give it to: until here another node could have been tried.
    this.#hasSentBody = true;
    const request = asHttpRequest(this.#request.raw);
    request.streamTo((piece) => {
      if (!body.push(piece)) request.pause();
    });
    request.once('end', () => body.push(null));
    request.once('error', () => {});
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    if (headers[NOT_HERE] !== undefined) {
      this.#isNotHere = true;
      return;
    }
    const reply = this.#reply;
    const { raw } = reply;
    if (raw.destroyed) {
      controller.abort(new Error('the client has gone'));
      return;
    }
    this.#isAnswering = true;
    reply.hijack();
    raw.on('drain', () => controller.resume());
    raw.once('error', () => {});
    const passed: Record<string, string | string[]> = {};
    for (const name in headers) if (!NOT_RELAYED.has(name)) passed[name] = headers[name]!;
    raw.writeHead(status, passed);
    // The head of a stream goes out before there is any audio.
    if (headers['content-length'] === undefined) raw.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isAnswering && !this.#reply.raw.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#isNotHere) this.#end(this.#hasSentBody ? 'broken' : 'not_here');
    else {
      this.#reply.raw.end();
      this.#end('answered');
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#reply.raw.destroyed) this.#end('answered');
    else if (this.#isAnswering || this.#hasSentBody) this.#end('broken');
    else this.#end(isRefusal(error) ? 'refused' : 'silent');
  }

  #wantsMore(): void {
    if (this.#hasSentBody) this.#request.raw.resume();
  }

  #clientGone(): void {
    this.abort(new Error('the client has gone'));
  }

  #end(outcome: ForwardOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reply.raw.off('close', this.#onClose);
    if (outcome === 'broken') {
      this.#reply.hijack();
      // The client sees what it would see of one gateway that dies, and tries again.
      this.#reply.raw.destroy();
    }
    this.#done.resolve(outcome);
  }
}

/** Whether a request brings anything beside its head. */
export function hasBody({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
