import { MessageChannel, Worker } from 'node:worker_threads';
import { BusPeer, type Client, type Implementation, type StatusCode } from '../../bus/index.ts';
import { GatewayService, SessionWorkerService } from './service.ts';
import type { SessionWorkerData } from './worker.ts';

const WORKER_FILE = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.cjs', import.meta.url);

export type SessionWorkerClient = Client<(typeof SessionWorkerService)['methods']>;

export interface SessionWorkerOptions {
  readonly id: number;
  readonly resourceLimits: { maxOldGenerationSizeMb: number; maxYoungGenerationSizeMb: number };
  /** What the main thread does for the worker. */
  readonly gateway: Implementation<(typeof GatewayService)['methods']>;
  readonly onBusCall: ((method: string, code: StatusCode, durationMs: number) => void) | undefined;
  /** Its thread runs. */
  readonly onStarted: () => void;
  /** Its thread has ended, whoever ended it. */
  readonly onExit: (error: Error) => void;
}

/** One session worker's thread and the bus to it. */
export class SessionWorker {
  readonly id: number;
  readonly client: SessionWorkerClient;
  readonly #thread: Worker;
  readonly #peer: BusPeer;
  #error: Error | undefined;

  constructor({ id, resourceLimits, gateway, onBusCall, onStarted, onExit }: SessionWorkerOptions) {
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
    this.#thread.once('online', onStarted);
    this.#thread.on('error', (error) => {
      this.#error = error as Error;
    });
    this.#thread.on('exit', (code) => {
      void this.#peer.close();
      onExit(this.#error ?? new Error(`session worker ${id} ended with code ${code}`));
    });
  }

  async close(): Promise<void> {
    await this.#peer.close();
    await this.#thread.terminate();
  }
}
