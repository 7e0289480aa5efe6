import { MessageChannel, Worker } from 'node:worker_threads';
import { BusPeer, type Client, type Implementation, type StatusCode } from '../bus/index.ts';
import { GatewayService, SessionWorkerService } from '../workers/session-service.ts';
import type { SessionWorkerData } from '../workers/session-worker.ts';

const WORKER_FILE = new URL(
  import.meta.url.endsWith('.ts') ? '../workers/session-worker.ts' : '../workers/session-worker.cjs',
  import.meta.url,
);

/** Memory that one session may use, in megabytes: a runaway ends its own worker only. */
const DEDICATED_LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 1 };
const SHARED_LIMITS = { maxOldGenerationSizeMb: 1_024, maxYoungGenerationSizeMb: 32 };

const RESTART_DELAY_MS = 500;

export type SessionWorkerClient = Client<(typeof SessionWorkerService)['methods']>;
type GatewayMethods = (typeof GatewayService)['methods'];

export interface SessionWorkersOptions {
  /** `dedicated`: a worker a session; a number: that many workers, shared. */
  readonly mode: 'dedicated' | number;
  /** Idle workers kept ready in dedicated mode. */
  readonly spares: number;
  /** What the main thread does for its workers. */
  readonly gateway: Implementation<GatewayMethods>;
  readonly onBusCall?: (method: string, code: StatusCode, durationMs: number) => void;
  readonly onWorkerLost?: (workerId: number, error: Error) => void;
}

/** A session's place on a worker. */
export interface WorkerLease {
  readonly workerId: number;
  readonly client: SessionWorkerClient;
  /** Called at most once, when the worker died while the session was on it. */
  onLost: (error: Error) => void;
  /** Gives the place back. Idempotent. */
  release(): void;
}

/** The session workers: starts them, hands them out, notices when one dies. */
export class SessionWorkers {
  readonly #options: SessionWorkersOptions;
  readonly #workers = new Set<SessionWorker>();
  #lastWorkerId = 0;
  #closed = false;

  constructor(options: SessionWorkersOptions) {
    this.#options = options;
    this.#fill();
  }

  get counts(): { busy: number; spare: number } {
    let busy = 0;
    for (const worker of this.#workers) if (worker.leases.size > 0) busy += 1;
    return { busy, spare: this.#workers.size - busy };
  }

  /** A place for one more session: an idle worker of its own, or the least loaded of the shared ones. */
  lease(): WorkerLease {
    const worker = this.#pick() ?? this.#start();
    const lease: WorkerLease & { onLost: (error: Error) => void } = {
      workerId: worker.id,
      client: worker.client,
      onLost: () => {},
      release: () => {
        if (worker.leases.delete(lease)) this.#retire(worker);
      },
    };
    worker.leases.add(lease);
    // In a turn of its own: the call that waits goes first.
    setImmediate(() => this.#fill());
    return lease;
  }

  /**
   * Ends a worker's thread at once, as a crash would: for drills and tests. Its sessions learn of it as of any loss.
   * @returns whether there was such a worker; resolves when the thread is gone
   */
  async terminate(workerId: number): Promise<boolean> {
    const worker = [...this.#workers].find(({ id }) => id === workerId);
    await worker?.terminate();
    return worker !== undefined;
  }

  /** Ends all workers. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    this.#workers.clear();
  }

  #pick(): SessionWorker | undefined {
    let best: SessionWorker | undefined;
    for (const worker of this.#workers) {
      if (!best || worker.leases.size < best.leases.size) best = worker;
    }
    return this.#options.mode === 'dedicated' && best && best.leases.size > 0 ? undefined : best;
  }

  /** Starts what is missing: spares, or the shared workers. */
  #fill(): void {
    if (this.#closed) return;
    const { mode, spares } = this.#options;
    const missing = mode === 'dedicated' ? spares - this.counts.spare : mode - this.#workers.size;
    for (let i = 0; i < missing; i++) this.#start();
  }

  /** Keeps a worker whose session is over for the next one, its code warm, unless enough are idle. */
  #retire(worker: SessionWorker): void {
    const { mode, spares } = this.#options;
    if (this.#closed || mode !== 'dedicated' || this.counts.spare <= Math.max(1, spares)) return;
    this.#workers.delete(worker);
    void worker.close();
  }

  #start(): SessionWorker {
    const { mode, gateway, onBusCall } = this.#options;
    const worker = new SessionWorker({
      id: ++this.#lastWorkerId,
      resourceLimits: mode === 'dedicated' ? DEDICATED_LIMITS : SHARED_LIMITS,
      gateway,
      onBusCall,
      onExit: (error) => {
        if (!this.#workers.delete(worker) || this.#closed) return;
        for (const lease of worker.leases) lease.onLost(error);
        worker.leases.clear();
        this.#options.onWorkerLost?.(worker.id, error);
        // Not at once: a worker that cannot even start must not keep the daemon busy with starting it.
        setTimeout(() => this.#fill(), RESTART_DELAY_MS).unref();
      },
    });
    this.#workers.add(worker);
    return worker;
  }
}

interface SessionWorkerOptions {
  readonly id: number;
  readonly resourceLimits: { maxOldGenerationSizeMb: number; maxYoungGenerationSizeMb: number };
  readonly gateway: Implementation<GatewayMethods>;
  readonly onBusCall: SessionWorkersOptions['onBusCall'];
  readonly onExit: (error: Error) => void;
}

/** One worker thread and the bus to it. */
class SessionWorker {
  readonly id: number;
  readonly client: SessionWorkerClient;
  readonly leases = new Set<WorkerLease>();
  readonly #thread: Worker;
  readonly #peer: BusPeer;
  #error: Error | undefined;

  constructor({ id, resourceLimits, gateway, onBusCall, onExit }: SessionWorkerOptions) {
    this.id = id;
    const { port1, port2 } = new MessageChannel();
    const workerData: SessionWorkerData = { port: port2 };
    this.#thread = new Worker(WORKER_FILE, {
      name: `session-worker-${id}`,
      workerData,
      transferList: [port2],
      resourceLimits,
    });
    this.#peer = new BusPeer(port1, {
      ...(onBusCall ? { onCallEnd: ({ method, code, durationMs }) => onBusCall(method, code, durationMs) } : {}),
    });
    this.#peer.serve(GatewayService, gateway);
    this.client = this.#peer.client(SessionWorkerService);
    this.#thread.on('error', (error) => {
      this.#error = error as Error;
    });
    this.#thread.on('exit', (code) => {
      void this.#peer.close();
      onExit(this.#error ?? new Error(`session worker ${id} ended with code ${code}`));
    });
  }

  /** Ends the thread without a word to anybody. */
  async terminate(): Promise<void> {
    await this.#thread.terminate();
  }

  async close(): Promise<void> {
    await this.#peer.close();
    await this.#thread.terminate();
  }
}
