import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it arrived, body and all. */
export interface Received {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers a request, or leaves it open. */
export type Answerer = (received: Received, response: ServerResponse) => void;

/** An HTTP server on loopback that remembers what it was asked. */
export class TestServer {
  readonly received: Received[] = [];
  answer: Answerer;
  readonly #server: Server;
  readonly #waiting = new Set<{ isMet: () => boolean; resolve: () => void }>();

  private constructor(answer: Answerer) {
    this.answer = answer;
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of request) chunks.push(chunk as Buffer);
      } catch {
        return;
      }
      const { method = '', url = '', headers } = request;
      const received = { method, url, headers, body: Buffer.concat(chunks).toString() };
      this.received.push(received);
      for (const waiting of this.#waiting) if (waiting.isMet()) waiting.resolve();
      this.answer(received, response);
    });
  }

  static async start(answer: Answerer): Promise<TestServer> {
    const server = new TestServer(answer);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Resolves when `count` requests have come, those before included. */
  async hasReceived(count: number): Promise<void> {
    const isMet = () => this.received.length >= count;
    if (isMet()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { isMet, resolve };
    this.#waiting.add(waiting);
    await promise;
    this.#waiting.delete(waiting);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Answers everything with this. */
export function always(status: number, body: unknown = '', headers: Record<string, string> = {}): Answerer {
  return (_received, response) => sendAnswer(response, status, body, headers);
}

export function sendAnswer(
  response: ServerResponse,
  status: number,
  body: unknown = '',
  headers: Record<string, string> = {},
): void {
  const isText = typeof body === 'string';
  response.writeHead(status, { 'content-type': isText ? 'text/plain' : 'application/json', ...headers });
  response.end(isText ? body : JSON.stringify(body));
}

/** A loopback URL where nobody listens. */
export async function deadUrl(): Promise<string> {
  const server = await TestServer.start(always(200));
  const { url } = server;
  await server.close();
  return url;
}
