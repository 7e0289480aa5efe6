import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Connection } from './connection.ts';
import { HttpRequest } from './http-request.ts';

const TICK_MS = 1_000;
/** Longest that an answer may wait for its client to read any of it. */
const MAX_STUCK_TICKS = 30;
/** Once nine tenths of the connections are taken, those are closed that had no request for this long. */
const MAX_QUIET_TICKS_WHEN_SHORT = 5;
const SHORT = 0.9;
/** Longest that TLS may take to be set up. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface ServerSettings {
  /** PEM texts; with them the server speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly tcpKeepAliveMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}

/** Every connection of clients: how many there may be, and what each may hold. */
export class Connections {
  readonly #open = new Map<Socket, { readonly connection: Connection; readonly expire: () => void }>();
  readonly #servers = new Set<Server>();
  readonly #timer: NodeJS.Timeout;
  #limit = Number.POSITIVE_INFINITY;
  #openCount = 0;

  constructor() {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Connections that are open, those that still set up TLS among them. */
  get count(): number {
    return this.#openCount;
  }

  /** Most connections; further ones are closed as they come. */
  set limit(limit: number) {
    this.#limit = limit;
    for (const server of this.#servers) server.maxConnections = limit;
  }

  /** A server whose connections are looked after here. */
  createServer(handler: RequestListener, settings: ServerSettings): Server {
    const { tls } = settings;
    const connection = {
      IncomingMessage: HttpRequest,
      keepAlive: true,
      keepAliveInitialDelay: settings.tcpKeepAliveMs,
      // A missing Host is refused by the app: Node's own refusal has no body.
      requireHostHeader: false,
    };
    const server = tls
      ? createHttpsServer({ ...connection, ...tls, handshakeTimeout: HANDSHAKE_TIMEOUT_MS })
      : createHttpServer(connection);
    // Node's own knows no body that lasts as long as a call: bodies are timed here, heads by Node.
    server.requestTimeout = 0;
    server.keepAliveTimeout = settings.keepAliveTimeoutMs;
    // A poll is a connection on which nothing happens for a minute.
    server.setTimeout(0);
    if (Number.isFinite(this.#limit)) server.maxConnections = this.#limit;
    server.on('connection', (socket: Socket) => {
      this.#openCount++;
      socket.once('close', () => this.#openCount--);
    });
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      const connection = new Connection(socket, handler);
      const expire = () => {
        if (connection.bodyTicks * TICK_MS < settings.requestTimeoutMs) return;
        server.emit(
          'clientError',
          Object.assign(new Error('request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }),
          socket,
        );
      };
      this.#open.set(socket, { connection, expire });
      socket.once('close', () => this.#open.delete(socket));
    });
    server.on('request', (request, response) => this.#open.get(request.socket)?.connection.take(request, response));
    // An expectation that nobody knows is no reason to turn a call away, which is what Node would do.
    server.on('checkExpectation', (request, response) => server.emit('request', request, response));
    this.#servers.add(server);
    server.once('close', () => this.#servers.delete(server));
    return server;
  }

  /** Closes connections whose answers nobody reads, and idle ones where there are too many. Called once a second. */
  tick(): void {
    const isShort = this.#openCount >= this.#limit * SHORT;
    for (const { connection, expire } of this.#open.values()) {
      connection.tick();
      expire();
      const { stuckTicks, quietTicks } = connection;
      if (stuckTicks >= MAX_STUCK_TICKS || (isShort && quietTicks >= MAX_QUIET_TICKS_WHEN_SHORT)) connection.close();
    }
  }

  /** Stops looking after them. The servers close their own. */
  close(): void {
    clearInterval(this.#timer);
  }
}
