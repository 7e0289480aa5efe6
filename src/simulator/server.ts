import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { type ConnectionRequest, SimulatorConnection } from './connection.ts';
import { FaultQueryError, type Faults, faultsFromQuery } from './faults.ts';
import { type Refusal, refusalOf, refusalOfStatus, refuse } from './handshake.ts';
import { type Library, loadLibrary } from './library.ts';
import { type ResolvedOptions, resolveOptions, type SimulatorOptions } from './options.ts';
import { type SimulatorStats, StatsKeeper } from './stats.ts';

export type { ConnectionRequest, SimulatorConnection } from './connection.ts';
export type { EventChange, EventMutation, FieldChange } from './event-mutations.ts';
export type { BargeInVariant, FaultMoment, Faults } from './faults.ts';
export type { SimulatorDialect, SimulatorMode, SimulatorOptions } from './options.ts';
export type { SimulatorStats } from './stats.ts';

/** An event has at most 15 MiB of audio, which base64 makes a third larger. */
const MAX_MESSAGE_BYTES = 21 * 1024 * 1024;

interface SimulatorEvents {
  /** A client has connected; `session.created` is about to be sent. */
  connection: [connection: SimulatorConnection];
}

/**
 * A server of the OpenAI Realtime API (GA) that answers with recorded speech. It follows the service's order of events,
 * shapes, limits and errors as recorded sessions have them; what it cannot know is what a model would say.
 *
 * Not simulated: MCP tools, images, stored prompts, `speed` other than 1 (accepted, without effect on the audio), and
 * dropping the oldest items of a conversation that outgrows the model.
 */
export class RealtimeSimulator extends EventEmitter<SimulatorEvents> {
  readonly #options: ResolvedOptions;
  readonly #library: Library;
  readonly #server: Server;
  #url = '';
  readonly #sockets: WebSocketServer;
  readonly #connections = new Set<SimulatorConnection>();
  readonly #stats = new StatsKeeper();
  readonly #upgrading = new Set<Duplex>();
  /** Faults waiting for a connection each. */
  readonly #queue: { faults: Faults; isFor: (request: ConnectionRequest) => boolean }[] = [];
  #defaults: { faults: Faults; left: number };
  /** How many connections have had the faults of a query that limits them. */
  readonly #queryCounts = new Map<string, number>();
  #closing: Promise<void> | undefined;

  private constructor(options: ResolvedOptions, library: Library) {
    super();
    this.#options = options;
    this.#library = library;
    this.#defaults = { faults: options.faults, left: Number.POSITIVE_INFINITY };
    this.#server = options.tls ? createTlsServer(options.tls) : createServer();
    this.#sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handleProtocols: (protocols) => (protocols.has('realtime') ? 'realtime' : false),
    });
    this.#server.on('request', (_request, response) => {
      response.writeHead(426, { 'content-type': 'application/json', connection: 'close' });
      response.end(
        JSON.stringify({ error: { message: 'This is a WebSocket endpoint.', type: 'invalid_request_error' } }),
      );
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Starts a simulator; it listens when the promise resolves. @throws Error when it cannot, or fixtures are missing */
  static async listen(options: SimulatorOptions = {}): Promise<RealtimeSimulator> {
    const resolved = resolveOptions(options);
    const simulator = new RealtimeSimulator(resolved, await loadLibrary(resolved.fixturesDir));
    simulator.#server.listen(resolved.port, resolved.host);
    await once(simulator.#server, 'listening');
    const { address, port, family } = simulator.#server.address() as AddressInfo;
    const host = family === 'IPv6' ? `[${address}]` : address;
    simulator.#url = `${resolved.tls ? 'wss' : 'ws'}://${host}:${port}/v1/realtime`;
    return simulator;
  }

  /** Where clients connect, without the query: `ws://127.0.0.1:PORT/v1/realtime`. */
  get url(): string {
    return this.#url;
  }

  /** Open connections, oldest first. */
  get connections(): readonly SimulatorConnection[] {
    return [...this.#connections];
  }

  get stats(): SimulatorStats {
    return this.#stats.snapshot;
  }

  /**
   * Gives the next upgrade request these faults, and only that one, whatever its query says. Calls queue up.
   * @param isFor which requests it is meant for; left out: any
   * @returns takes the faults back, unless a connection has got them
   */
  nextConnection(faults: Faults, isFor: (request: ConnectionRequest) => boolean = () => true): () => void {
    const entry = { faults, isFor };
    this.#queue.push(entry);
    return () => {
      const index = this.#queue.indexOf(entry);
      if (index >= 0) this.#queue.splice(index, 1);
    };
  }

  /**
   * Gives these faults to upgrade requests that have none of their own, from {@link nextConnection} or the query: to the
   * next `connections` of them, or to all that follow.
   */
  setDefaultFaults(faults: Faults, connections = Number.POSITIVE_INFINITY): void {
    this.#defaults = { faults, left: connections };
  }

  /** The next connection that opens. Rejects when `signal` aborts. */
  async waitForConnection(signal?: AbortSignal): Promise<SimulatorConnection> {
    const [connection] = await once(this, 'connection', signal ? { signal } : {});
    return connection as SimulatorConnection;
  }

  #faultsFor(request: ConnectionRequest, url: URL): Faults {
    const queued = this.#queue.findIndex(({ isFor }) => isFor(request));
    if (queued >= 0) return this.#queue.splice(queued, 1)[0]!.faults;
    const fromQuery = faultsFromQuery(url.searchParams);
    if (fromQuery) {
      const { faults, connections = Number.POSITIVE_INFINITY } = fromQuery;
      const key = url.search;
      const count = this.#queryCounts.get(key) ?? 0;
      if (count < connections) {
        if (Number.isFinite(connections)) this.#queryCounts.set(key, count + 1);
        return faults;
      }
    }
    if (this.#defaults.left <= 0) return {};
    this.#defaults.left -= 1;
    return this.#defaults.faults;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A client that gives up during the handshake is nobody's error.
    socket.on('error', () => socket.destroy());
    this.#upgrading.add(socket);
    socket.once('close', () => this.#upgrading.delete(socket));
    const url = new URL(request.url ?? '/', 'ws://simulator');
    const answer = this.#answerTo(request, url);
    const proceed = () => {
      this.#upgrading.delete(socket);
      if ('refusal' in answer) {
        this.#stats.refused(answer.refusal.status);
        refuse(socket, answer.refusal);
      } else {
        this.#accept(request, socket, head, url, answer.faults);
      }
    };
    const delayMs = 'faults' in answer ? answer.faults.handshakeDelayMs : undefined;
    if (!delayMs) {
      proceed();
      return;
    }
    const timer = setTimeout(proceed, delayMs);
    socket.once('close', () => clearTimeout(timer));
  }

  #answerTo(request: IncomingMessage, url: URL): { refusal: Refusal } | { faults: Faults } {
    try {
      const faults = this.#faultsFor(requestOf(request, url), url);
      if (faults.refuseHandshake) {
        const { status, retryAfterSeconds } = faults.refuseHandshake;
        return { refusal: refusalOfStatus(status, retryAfterSeconds) };
      }
      const { apiKeys, requireAuth, dialect } = this.#options;
      const refusal = refusalOf(request, url, { apiKeys, requireAuth, isAzure: dialect === 'azure' });
      return refusal ? { refusal } : { faults };
    } catch (error) {
      if (!(error instanceof FaultQueryError)) throw error;
      return { refusal: { status: 400, code: 'invalid_value', message: error.message } };
    }
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer, url: URL, faults: Faults): void {
    this.#sockets.once('headers', (headers) => {
      // The real service stands behind proxies that tell the time.
      if (!faults.noDate) headers.push(`Date: ${new Date().toUTCString()}`);
      if (this.#options.dialect === 'azure') headers.push('x-ms-region: Simulated Region');
    });
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new SimulatorConnection(webSocket, requestOf(request, url), {
        options: this.#options,
        library: this.#library,
        stats: this.#stats,
        faults,
      });
      this.#connections.add(connection);
      this.#stats.opened();
      connection.once('close', () => {
        this.#connections.delete(connection);
        this.#stats.closed();
      });
      this.emit('connection', connection);
      const isBeta = /realtime=v1/.test(String(request.headers['openai-beta'] ?? ''));
      if (isBeta && this.#options.dialect !== 'beta') connection.refuseBeta();
      else connection.open();
    });
  }

  /** Drops all connections and stops listening. Calling it again awaits the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections) connection.drop();
    for (const socket of this.#upgrading) socket.destroy();
    this.#server.closeAllConnections();
    await closed;
  }
}

function requestOf({ headers }: IncomingMessage, { searchParams }: URL): ConnectionRequest {
  return { headers, query: searchParams, model: searchParams.get('model') ?? '' };
}
