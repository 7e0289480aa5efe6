import type { FastifyReply } from 'fastify';

/** Headers of an answer that concern one connection. */
const NOT_RELAYED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'proxy-connection']);

/** Another node's answer on its way to the client. */
export class RelayedAnswer {
  readonly #reply: FastifyReply;
  readonly #onClientGone: () => void;
  #isBegun = false;

  /** @param onClientGone told once, unless the answer has been given whole, or is released, before */
  constructor(reply: FastifyReply, onClientGone: () => void) {
    this.#reply = reply;
    this.#onClientGone = onClientGone;
    reply.raw.once('close', onClientGone);
  }

  get isClientGone(): boolean {
    return this.#reply.raw.destroyed;
  }

  /** Whether the client has some of it: another node can no longer answer in its place. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** @param onRoom called when the client has read what was too much at once */
  begin(status: number, headers: Record<string, string | string[] | undefined>, onRoom: () => void): void {
    const { raw } = this.#reply;
    this.#isBegun = true;
    this.#reply.hijack();
    raw.on('drain', onRoom);
    raw.once('error', () => {});
    const relayed: Record<string, string | string[]> = {};
    for (const name in headers) if (!NOT_RELAYED.has(name)) relayed[name] = headers[name]!;
    raw.writeHead(status, relayed);
    // The head of a stream goes out before there is any audio.
    if (headers['content-length'] === undefined) raw.flushHeaders();
  }

  /** @returns whether the client keeps up */
  write(piece: Buffer): boolean {
    return this.#reply.raw.write(piece);
  }

  end(): void {
    this.#reply.raw.end();
  }

  /** The client sees what it would see of one gateway that dies, and tries again. */
  breakOff(): void {
    this.release();
    if (!this.#isBegun) this.#reply.hijack();
    this.#reply.raw.destroy();
  }

  /** What becomes of the client is of no interest any more. */
  release(): void {
    this.#reply.raw.off('close', this.#onClientGone);
  }
}
