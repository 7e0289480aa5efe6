import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';

/** A request of the switch. */
export interface LinkRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  readonly body: any;
  /** How many requests came before it. */
  readonly index: number;
}

/** What happens to a request. */
export type Fault =
  /** Answered by the network, not by the gateway. */
  | { readonly kind: 'status'; readonly status: number; readonly body?: object }
  /** The connection breaks before the gateway has it. */
  | { readonly kind: 'lost' }
  /** The gateway has it, but the connection breaks before its answer arrives. */
  | { readonly kind: 'answer_lost' }
  /** The request and the answer take this long each. */
  | { readonly kind: 'slow'; readonly eachWayMs: number }
  /** Nothing happens until the promise is fulfilled; then it goes its way. */
  | { readonly kind: 'held'; readonly until: Promise<unknown> };

/** The network between the switch and the gateway, and what it does to requests. */
export class Link {
  readonly requests: LinkRequest[] = [];
  /** Decides about each request; undefined lets it pass. */
  fault: (request: LinkRequest) => Fault | undefined = () => undefined;
  /** Where the gateway is; undefined: nobody listens there. */
  target: string | undefined;
  readonly #server: Server;
  readonly #agent = new Agent({ pipelining: 0 });

  private constructor(target: string) {
    this.target = target;
    this.#server = createServer((incoming, outgoing) => {
      this.#pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  static async open(target: string): Promise<Link> {
    const link = new Link(target);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests to a path that ends like this. */
  to(ending: string): LinkRequest[] {
    return this.requests.filter(({ path }) => path.endsWith(ending));
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    await this.#agent.destroy();
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const url = new URL(incoming.url!, 'http://link');
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    const text = Buffer.concat(pieces).toString();
    const seen: LinkRequest = {
      method: incoming.method!,
      path: url.pathname,
      query: url.searchParams,
      body: text === '' ? undefined : JSON.parse(text),
      index: this.requests.length,
    };
    this.requests.push(seen);
    const fault = this.fault(seen);
    if (fault?.kind === 'lost' || this.target === undefined) {
      outgoing.destroy();
      return;
    }
    if (fault?.kind === 'status') {
      outgoing.writeHead(fault.status, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify(fault.body ?? { error: 'the network says so', code: 'internal' }));
      return;
    }
    if (fault?.kind === 'held') await fault.until;
    if (fault?.kind === 'slow') await delay(fault.eachWayMs);
    const { host: _host, connection: _connection, ...headers } = incoming.headers;
    const answer = await request(this.target + incoming.url, {
      method: incoming.method as 'POST',
      headers,
      body: text === '' ? null : text,
      dispatcher: this.#agent,
    });
    const body = await answer.body.text();
    if (fault?.kind === 'slow') await delay(fault.eachWayMs);
    if (fault?.kind === 'answer_lost') {
      outgoing.destroy();
      return;
    }
    outgoing.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] as string });
    outgoing.end(body);
  }
}
