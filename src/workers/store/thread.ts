import { MessageChannel, Worker } from 'node:worker_threads';
import { BusPeer, type Client, type StatusCode } from '../../bus/index.ts';
import type { StoreNote } from '../../store/store.ts';
import { StoreHostService, StoreService } from './service.ts';
import type { StoreWorkerData } from './worker.ts';

const WORKER_FILE = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

export type StoreClient = Client<(typeof StoreService)['methods']>;

export interface StoreThreadOptions {
  readonly onNote: (note: StoreNote) => void;
  readonly onBusCall: ((method: string, code: StatusCode, durationMs: number) => void) | undefined;
  /** It has ended, whoever ended it. */
  readonly onExit: (error: Error) => void;
}

/** The store's thread and the bus to it. */
export class StoreThread {
  readonly client: StoreClient;
  readonly #thread: Worker;
  readonly #peer: BusPeer;
  #error: Error | undefined;

  constructor({ onNote, onBusCall, onExit }: StoreThreadOptions) {
    const { port1, port2 } = new MessageChannel();
    const workerData: StoreWorkerData = { port: port2 };
    this.#thread = new Worker(WORKER_FILE, { name: 'store', workerData, transferList: [port2] });
    this.#peer = new BusPeer(port1, {
      ...(onBusCall ? { onCallEnd: ({ method, code, durationMs }) => onBusCall(method, code, durationMs) } : {}),
    });
    this.#peer.serve(StoreHostService, { note: (note) => onNote(note) });
    this.client = this.#peer.client(StoreService);
    this.#thread.on('error', (error) => {
      this.#error = error as Error;
    });
    this.#thread.on('exit', (code) => {
      void this.#peer.close();
      onExit(this.#error ?? new Error(`the store's thread ended with code ${code}`));
    });
  }

  async close(): Promise<void> {
    await this.#peer.close();
    await this.#thread.terminate();
  }
}
