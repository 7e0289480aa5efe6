import { parentPort, workerData } from 'node:worker_threads';
import { findDamage } from '../../store/database.ts';

/** What was found; `damage` undefined: nothing. */
export interface DamageReport {
  readonly damage: string | undefined;
}

/** A thread that looks through the store's file once, and ends. */
const { path } = workerData as { path: string };
parentPort?.postMessage({ damage: findDamage(path) } satisfies DamageReport);
