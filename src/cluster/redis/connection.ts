import { hash } from 'node:crypto';
import { createClient, createSentinel } from 'redis';
import { monotonicNowMs } from '../../clock.ts';
import { DirectoryAway } from '../directory.ts';

/** Longest that Redis may take to answer: after that it counts as away, and calls go on without it. */
const ANSWER_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const START_TIMEOUT_MS = 3_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;
const DEFAULT_SENTINEL_PORT = 26_379;
/** Refusals that no waiting mends. */
const FINAL = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid|ERR DB index)/;

type Reply = string | number | null | readonly Reply[];

/** What is used of either kind of client. */
interface Client {
  connect(): Promise<unknown>;
  destroy(): unknown;
  send(args: string[]): Promise<unknown>;
}

/** A connection to one Redis, or to the master that Sentinels name, which is made again whenever it is lost. */
export class RedisConnection {
  readonly #client: Client;
  readonly #hashes = new Map<string, string>();
  #isClosed = false;
  #lastError: Error | undefined;

  private constructor(url: URL) {
    this.#client = clientOf(url, (error) => {
      this.#lastError = error;
    });
  }

  /**
   * Connects.
   * @param url `redis://`, `rediss://`, or `redis+sentinel://HOST:PORT/MASTER?sentinels=HOST:PORT,…`
   * @throws {Error} saying why nobody answers there
   */
  static async open(url: string): Promise<RedisConnection> {
    const connection = new RedisConnection(new URL(url));
    try {
      await connection.#start();
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  /** Runs a script. @throws {DirectoryAway} while Redis cannot be reached or does not answer */
  async run(script: string, ...args: (string | number)[]): Promise<Reply> {
    let sha = this.#hashes.get(script);
    if (sha === undefined) {
      sha = hash('sha1', script);
      this.#hashes.set(script, sha);
    }
    const texts = args.map(String);
    try {
      return await this.#answered(['EVALSHA', sha, '0', ...texts]);
    } catch (error) {
      if (!isAnswer(error) || !(error as Error).message.startsWith('NOSCRIPT')) throw asAway(error);
    }
    try {
      return await this.#answered(['EVAL', script, '0', ...texts]);
    } catch (error) {
      throw asAway(error);
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#client.destroy();
    } catch {
      // It was not connected.
    }
  }

  async #answered(args: string[]): Promise<Reply> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new DirectoryAway(`Redis did not answer within ${ANSWER_TIMEOUT_MS} ms`)),
      ANSWER_TIMEOUT_MS,
    );
    try {
      return (await Promise.race([this.#client.send(args), late])) as Reply;
    } finally {
      clearTimeout(timer);
    }
  }

  async #start(): Promise<void> {
    const endsAtMs = monotonicNowMs() + START_TIMEOUT_MS;
    let failure: Error | undefined;
    this.#client.connect().catch((error: Error) => {
      failure = error;
    });
    for (;;) {
      try {
        await this.#answered(['PING']);
        return;
      } catch (error) {
        const why = failure ?? this.#lastError ?? (error as Error);
        if (FINAL.test(why.message) || monotonicNowMs() > endsAtMs) throw why;
        if (isAnswer(error) && /^(READONLY|LOADING|MASTERDOWN)/.test((error as Error).message) === false) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, MIN_RECONNECT_MS));
    }
  }
}

function clientOf(url: URL, onError: (error: Error) => void): Client {
  const reconnectStrategy = (retries: number) =>
    Math.min(MIN_RECONNECT_MS * 2 ** Math.min(retries, 10), MAX_RECONNECT_MS) * (0.75 + Math.random() / 2);
  const socket = { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy };
  if (!url.protocol.includes('+sentinel')) {
    const client = createClient({ url: url.href, socket, disableOfflineQueue: true });
    client.on('error', onError);
    return {
      connect: () => client.connect(),
      destroy: () => client.destroy(),
      send: (args) => client.sendCommand(args),
    };
  }
  const isTls = url.protocol.startsWith('rediss');
  const login = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    socket: isTls ? { ...socket, tls: true as const } : socket,
  };
  const others = url.searchParams.get('sentinels')?.split(',') ?? [];
  const sentinel = createSentinel({
    name: decodeURIComponent(url.pathname.slice(1)),
    sentinelRootNodes: [url.host, ...others].filter((host) => host !== '').map(addressOf),
    nodeClientOptions: {
      ...login,
      database: Number(url.searchParams.get('db') ?? 0),
      disableOfflineQueue: true,
    },
    sentinelClientOptions: { ...login, disableOfflineQueue: true },
    scanInterval: 1_000,
  });
  sentinel.on('error', onError);
  return {
    connect: () => sentinel.connect(),
    destroy: () => void sentinel.destroy().catch(() => {}),
    send: (args) => sentinel.sendCommand(false, args),
  };
}

function addressOf(text: string): { host: string; port: number } {
  const { hostname, port } = new URL(`redis://${text}`);
  return { host: hostname, port: port === '' ? DEFAULT_SENTINEL_PORT : Number(port) };
}

/** Whether Redis itself said this, rather than the way to it. */
function isAnswer(error: unknown): boolean {
  return (error as Error).constructor.name.endsWith('ErrorReply') || /^[A-Z]+ /.test((error as Error).message);
}

function asAway(error: unknown): DirectoryAway {
  if (error instanceof DirectoryAway) return error;
  return new DirectoryAway(`Redis cannot be asked: ${(error as Error).message}`, { cause: error });
}
