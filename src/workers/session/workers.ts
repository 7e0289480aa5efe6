import { availableParallelism } from 'node:os';
import { BusError, Status } from '../../bus/index.ts';
import { SessionWorker, type SessionWorkerClient, type SessionWorkerOptions } from './thread.ts';

/** Memory that one session may use, in megabytes: a runaway ends its own worker only. */
const DEDICATED_LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 1 };
const SHARED_LIMITS = { maxOldGenerationSizeMb: 1_024, maxYoungGenerationSizeMb: 32 };

/** Dedicated workers that start at a time: more only take the processor from each other, and from running calls. */
const MAX_STARTING = Math.max(2, availableParallelism());
const RESTART_DELAY_MS = 500;

export interface SessionWorkersOptions {
  /** `dedicated`: a worker a session; a number: that many workers, shared. */
  readonly mode: 'dedicated' | number;
  /** Idle workers kept ready in dedicated mode. */
  readonly spares: number;
  /** What the main thread does for its workers. */
  readonly gateway: SessionWorkerOptions['gateway'];
  readonly onBusCall?: SessionWorkerOptions['onBusCall'];
  readonly onWorkerLost?: (workerId: number, error: Error) => void;
}

/** A session's place on a worker. */
export interface WorkerLease {
  readonly workerId: number;
  readonly client: SessionWorkerClient;
  /** Gives the place back. Idempotent. */
  release(): void;
}

/** Whoever has a place on a worker. */
export interface LeaseHolder {
  /** The worker died while the session was on it. Told once at most, and not after the place was given back. */
  onLost(error: Error): void;
}

/** A session that waits for a place. */
interface Waiter {
  readonly holder: LeaseHolder;
  take(lease: WorkerLease): void;
  cancel(): void;
}

/** The session workers: starts them, hands them out, notices when one dies. */
export class SessionWorkers {
  readonly #options: SessionWorkersOptions;
  /** Every worker, with the places taken on it. */
  readonly #workers = new Map<SessionWorker, Map<WorkerLease, LeaseHolder>>();
  readonly #starting = new Set<SessionWorker>();
  /** Sessions that wait for a worker, in the order they came. */
  readonly #waiting = new Set<Waiter>();
  #lastWorkerId = 0;
  #closed = false;

  constructor(options: SessionWorkersOptions) {
    this.#options = options;
    this.#fill();
  }

  get counts(): { busy: number; spare: number } {
    let busy = 0;
    for (const leases of this.#workers.values()) if (leases.size > 0) busy += 1;
    return { busy, spare: this.#workers.size - busy };
  }

  /**
   * A place for one more session: an idle worker of its own, or the least loaded of the shared ones. Where no dedicated
   * worker is idle and enough are starting, it waits for its turn.
   * @param timeoutMs how long it may wait
   * @throws {BusError} `DEADLINE_EXCEEDED`, or `CANCELLED` when `signal` is aborted or the workers are closed
   */
  lease(holder: LeaseHolder, timeoutMs: number, signal: AbortSignal): Promise<WorkerLease> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', waiter.cancel);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter = {
        holder,
        take(lease) {
          done();
          resolve(lease);
        },
        cancel() {
          done();
          reject(new BusError(Status.Cancelled, 'the session was given up before there was a worker for it'));
        },
      };
      const timer = setTimeout(() => {
        done();
        reject(new BusError(Status.DeadlineExceeded, `no session worker was free within ${timeoutMs} ms`));
      }, timeoutMs);
      signal.addEventListener('abort', waiter.cancel, { once: true });
      this.#waiting.add(waiter);
      if (this.#closed || signal.aborted) waiter.cancel();
      else this.#serve();
    });
  }

  /** Ends all workers; who waits for one is told that it was cancelled. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiting) waiter.cancel();
    await Promise.all([...this.#workers.keys()].map((worker) => worker.close()));
    this.#workers.clear();
  }

  /** Gives places to those who wait, as far as there are any. */
  #serve(): void {
    for (const waiter of this.#waiting) {
      const worker = this.#pick() ?? (this.#starting.size < MAX_STARTING ? this.#start() : undefined);
      if (!worker) return;
      waiter.take(this.#grant(worker, waiter.holder));
    }
    // In a turn of its own: the call that waits goes first.
    setImmediate(() => this.#fill());
  }

  #pick(): SessionWorker | undefined {
    let best: SessionWorker | undefined;
    let leastLoad = Number.POSITIVE_INFINITY;
    for (const [worker, leases] of this.#workers) {
      if (leases.size >= leastLoad) continue;
      best = worker;
      leastLoad = leases.size;
    }
    return this.#options.mode === 'dedicated' && leastLoad > 0 ? undefined : best;
  }

  #grant(worker: SessionWorker, holder: LeaseHolder): WorkerLease {
    const lease: WorkerLease = {
      workerId: worker.id,
      client: worker.client,
      release: () => {
        if (this.#workers.get(worker)?.delete(lease)) this.#released(worker);
      },
    };
    this.#workers.get(worker)?.set(lease, holder);
    return lease;
  }

  /** Keeps a worker whose session is over for the next one, its code warm, unless enough are idle. */
  #released(worker: SessionWorker): void {
    const { mode, spares } = this.#options;
    this.#serve();
    if (this.#closed || mode !== 'dedicated' || this.#workers.get(worker)?.size !== 0) return;
    if (this.counts.spare <= Math.max(1, spares)) return;
    this.#workers.delete(worker);
    void worker.close();
  }

  /** Starts what is missing: spares, or the shared workers. */
  #fill(): void {
    if (this.#closed) return;
    const { mode, spares } = this.#options;
    const missing =
      mode === 'dedicated'
        ? Math.min(spares - this.counts.spare, MAX_STARTING - this.#starting.size)
        : mode - this.#workers.size;
    for (let i = 0; i < missing; i++) this.#start();
  }

  #start(): SessionWorker {
    const { mode, gateway, onBusCall } = this.#options;
    const worker = new SessionWorker({
      id: ++this.#lastWorkerId,
      resourceLimits: mode === 'dedicated' ? DEDICATED_LIMITS : SHARED_LIMITS,
      gateway,
      onBusCall,
      onStarted: () => {
        if (this.#starting.delete(worker)) this.#serve();
      },
      onExit: (error) => {
        this.#starting.delete(worker);
        const leases = this.#workers.get(worker);
        if (!leases || this.#closed) return;
        this.#workers.delete(worker);
        for (const holder of leases.values()) holder.onLost(error);
        this.#options.onWorkerLost?.(worker.id, error);
        // Not at once: a worker that cannot even start must not keep the daemon busy with starting it.
        setTimeout(() => this.#serve(), RESTART_DELAY_MS).unref();
      },
    });
    this.#workers.set(worker, new Map());
    this.#starting.add(worker);
    return worker;
  }
}
