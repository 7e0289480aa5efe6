import { type MessagePort, Worker, workerData } from 'node:worker_threads';
import { BusError, BusPeer, Status } from '../../bus/index.ts';
import { monotonicNowMs } from '../../clock.ts';
import { StoreError, toStoreError } from '../../store/errors.ts';
import { Store, type StoreNote } from '../../store/store.ts';
import type { DamageReport } from './checker.ts';
import { Recorder } from './recorder.ts';
import { type OpenStoreRequest, StoreHostService, StoreService } from './service.ts';

/** Data the store's thread is started with. */
export interface StoreWorkerData {
  readonly port: MessagePort;
}

const SWEEP_INTERVAL_MS = 60_000;
/** A start has better to do. */
const LOOK_THROUGH_AFTER_MS = 2_000;
const CHECKER_FILE = new URL(import.meta.url.endsWith('.ts') ? './checker.ts' : './checker.js', import.meta.url);

/** The thread that owns the store of calls: everything that waits for the disk waits here. */
const { port } = workerData as StoreWorkerData;
const peer = new BusPeer(port);
const host = peer.client(StoreHostService);
let store: Store | undefined;
let recorder: Recorder | undefined;
let checker: Worker | undefined;
let checkTimer: NodeJS.Timeout | undefined;

function note(one: StoreNote): void {
  host.note(one).catch(() => {});
}

function open(request: OpenStoreRequest): { undelivered: string[] } {
  store?.close();
  store = undefined;
  const opened = Store.open({ ...request, note });
  store = opened;
  recorder = new Recorder(() => opened, request.recordingMinFreeBytes ?? 0, monotonicNowMs);
  const { path } = opened;
  clearTimeout(checkTimer);
  checkTimer = setTimeout(() => lookThrough(path), LOOK_THROUGH_AFTER_MS).unref();
  return { undelivered: opened.undeliveredIds() };
}

/** All of a long history takes seconds to look through: another thread does it, while calls come in here. */
function lookThrough(path: string): void {
  void checker?.terminate();
  checker = new Worker(CHECKER_FILE, { name: 'store-check', workerData: { path } });
  checker.unref();
  checker.on('message', ({ damage }: DamageReport) => {
    if (damage !== undefined && store?.path === path) heal(new StoreError('store_corrupt', damage));
  });
  checker.on('error', (error) => {
    note({ level: 'warn', message: 'the store of calls could not be looked through', fields: { why: String(error) } });
  });
}

function heal(error: StoreError): void {
  if (error.code !== 'store_corrupt' && error.code !== 'store_moved') return;
  try {
    store?.beginAnew(error);
  } catch (cause) {
    const fields = { why: toStoreError(cause, 'store').message };
    note({ level: 'error', message: 'the store of calls is broken, and no new one can be begun', fields });
  }
}

/** Runs something on the store; what it throws tells the main thread what is wrong. */
function withStore<T>(use: (opened: Store) => T): T {
  try {
    if (!store) throw new StoreError('store_closed', 'the store is not open');
    return use(store);
  } catch (cause) {
    const error = toStoreError(cause, 'store');
    // What was to be written is written again by whoever asked, to the new file.
    heal(error);
    throw new BusError(Status.Unavailable, error.message, { details: error.code, cause });
  }
}

peer.serve(StoreService, {
  open(request) {
    try {
      return open(request);
    } catch (cause) {
      const error = toStoreError(cause, 'store');
      throw new BusError(Status.Unavailable, error.message, { details: error.code, cause });
    }
  },
  write: ({ entries, marks }) => withStore((opened) => opened.write(entries, marks)),
  readSummary: ({ id }) => withStore((opened) => opened.readSummary(id)),
  search: ({ search, numbers }) => withStore((opened) => opened.search(search, numbers)),
  find: ({ tenantId, name, numbers, who }) => withStore((opened) => opened.find(tenantId, name, numbers, who)),
  export: ({ search, numbers, format, who }) => withStore((opened) => opened.export(search, numbers, format, who)),
  noteLooks: ({ looks }) => withStore((opened) => opened.noteLooks(looks)),
  looks: (search) => withStore((opened) => opened.looks(search)),
  record: (batch) => withStore(() => recorder?.write(batch)),
  findRecording: ({ tenantId, name }) => withStore((opened) => opened.recordings.find(tenantId, name)),
  usage: (query) => withStore((opened) => opened.usage(query)),
  size: () => withStore((opened) => ({ byteCount: opened.byteCount })),
  close: () => {
    store?.close();
    store = undefined;
  },
});

/** Removes what is out of date, a little at a time. */
function sweep(): void {
  let isMore = false;
  if (store) {
    try {
      isMore = withStore((opened) => opened.sweep());
      recorder?.settle();
    } catch (error) {
      const fields = { why: (error as Error).message };
      note({ level: 'warn', message: 'the store of calls cannot be cleaned up', fields });
    }
  }
  setTimeout(sweep, isMore ? 0 : SWEEP_INTERVAL_MS).unref();
}
setTimeout(sweep, 0).unref();

peer.closed.then(() => store?.close());
