import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asHttpRequest } from '../http/http-request.ts';
import type { Member } from './directory.ts';
import type { ForwardedRequest, ForwardOutcome } from './forward.ts';
import { isRefusal, passedOn } from './peers.ts';
import { NOT_HERE, type Proofs } from './proof.ts';
import { RelayedAnswer } from './relayed-answer.ts';

const CONNECT_TIMEOUT_MS = 1_000;

/**
 * A request whose body is passed on as it comes, which for a streamed call is as long as the call. It has a connection of
 * its own, whose head goes out before there is any body: a client may wait for the answer's before it sends.
 */
export class StreamForward implements ForwardedRequest {
  readonly target: Member;
  readonly #proofs: Proofs;
  readonly #request: FastifyRequest;
  readonly #answer: RelayedAnswer;
  readonly #done = Promise.withResolvers<ForwardOutcome>();
  #out: ClientRequest | undefined;
  /** Some of the body has gone there, and cannot go anywhere else. */
  #isCommitted = false;
  #isOver = false;

  constructor(proofs: Proofs, target: Member, request: FastifyRequest, reply: FastifyReply) {
    this.target = target;
    this.#proofs = proofs;
    this.#request = request;
    this.#answer = new RelayedAnswer(reply, () => this.abort(new Error('the client has gone')));
  }

  send(): Promise<ForwardOutcome> {
    const { raw, scope, id } = this.#request;
    const { url, instance } = this.target;
    const method = raw.method ?? 'POST';
    const path = raw.url ?? '/';
    const headers = { ...passedOn(raw.rawHeaders), ...this.#proofs.headers(method, path, scope, instance) };
    const start = url.startsWith('https:') ? httpsRequest : httpRequest;
    const out = start(`${url}${path}`, { method, headers: { ...headers, 'x-request-id': id }, agent: false });
    this.#out = out;
    const timer = setTimeout(() => out.destroy(new Error('no connection')), CONNECT_TIMEOUT_MS);
    out.once('socket', (socket) => {
      socket.setNoDelay(true);
      socket.once('connect', () => {
        clearTimeout(timer);
        this.#passBodyOn(out);
      });
    });
    out.once('response', (answer) => this.#onAnswer(answer));
    out.on('error', (error) => {
      clearTimeout(timer);
      this.#onError(error);
    });
    out.flushHeaders();
    return this.#done.promise;
  }

  abort(reason: Error): void {
    if (!this.#isOver) this.#out?.destroy(reason);
  }

  #passBodyOn(out: ClientRequest): void {
    const body = asHttpRequest(this.#request.raw);
    body.streamTo((piece) => {
      this.#isCommitted = true;
      if (!out.write(piece)) body.pause();
    });
    out.on('drain', () => body.resume());
    body.once('end', () => out.end());
    body.once('error', () => {});
  }

  #onAnswer(answer: IncomingMessage): void {
    if (answer.headers[NOT_HERE] !== undefined) {
      answer.resume();
      this.#end(this.#isCommitted ? 'broken' : 'not_here');
      return;
    }
    this.#answer.begin(answer.statusCode ?? 502, answer.headers, () => answer.resume());
    answer.on('data', (piece: Buffer) => {
      if (!this.#answer.write(piece)) answer.pause();
    });
    answer.once('end', () => {
      this.#answer.end();
      this.#end('answered');
    });
    answer.once('error', (error) => this.#onError(error));
    answer.once('close', () => this.#onError(new Error('the answer broke off')));
  }

  #onError(error: Error): void {
    if (this.#answer.isClientGone) this.#end('answered');
    else if (this.#answer.isBegun || this.#isCommitted) this.#end('broken');
    else this.#end(isRefusal(error) ? 'refused' : 'silent');
  }

  #end(outcome: ForwardOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (outcome === 'broken') this.#answer.breakOff();
    else this.#answer.release();
    this.#out?.destroy();
    this.#done.resolve(outcome);
  }
}

/** Whether a request brings anything beside its head. */
export function hasBody({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
