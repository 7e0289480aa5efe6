/** The audio pool: what handing a chunk over costs, against the work that is handed over. */
import { Piscina } from 'piscina';
import { downlinkJob } from '../src/workers/audio/downlink-job.ts';
import type { AudioJob, AudioJobResult, AudioState } from '../src/workers/audio/jobs.ts';
import { AudioPool } from '../src/workers/audio/pool.ts';
import { uplinkJob } from '../src/workers/audio/uplink-job.ts';
import { type Cost, compare, markdownTable, us } from './support/measure.ts';
import { CALL, chunkBase64, deltaBase64, UPSTREAM } from './support/samples.ts';

export interface PoolResult {
  readonly what: string;
  /** For one chunk or delta. */
  readonly cost: Cost;
}

/** Calls whose chunks come in the same turn of the event loop. */
const CALLS = 10;
const COUNT = 500;
/** Pieces of an item before the next begins, as in speech. */
const ITEM_PIECES = 50;

export async function benchPool(): Promise<PoolResult[]> {
  const pool = new AudioPool({ threads: 1 });
  const bare = new Piscina<AudioJob[], AudioJobResult[]>({
    filename: new URL('../src/workers/audio/task.ts', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  const up = { kind: 'up', call: CALL, upstream: UPSTREAM, measureVoice: false } as const;
  const down = { kind: 'down', call: CALL, upstream: UPSTREAM } as const;
  const lanes = Array.from({ length: CALLS }, () => pool.uplinkLane(up));
  const newDownLanes = () => Array.from({ length: CALLS }, () => pool.downlinkLane(down));
  let downLanes = newDownLanes();
  let upState: AudioState | undefined;
  let downState: AudioState | undefined;
  try {
    const costs = await compare(
      [
        {
          name: 'an empty Piscina task',
          async run(count) {
            for (let i = 0; i < count; i++) await bare.run([]);
          },
        },
        {
          name: 'chunk of 100 ms: the work alone, no pool',
          run(count) {
            for (let i = 0; i < count; i++) {
              upState = uplinkJob({ ...up, state: upState, inputs: [{ data: chunkBase64 }] }).state;
            }
          },
        },
        {
          name: 'chunk of 100 ms through the pool, alone',
          async run(count) {
            for (let i = 0; i < count; i++) await lanes[0]!.push({ data: chunkBase64 });
          },
        },
        {
          name: `chunk of 100 ms through the pool, of ${CALLS} calls together`,
          async run(count) {
            for (let i = 0; i < count; i += CALLS) {
              await Promise.all(lanes.map((lane) => lane.push({ data: chunkBase64 })));
            }
          },
        },
        {
          name: 'delta of 200 ms: the work alone, no pool',
          run(count) {
            for (let i = 0; i < count; i++) {
              if (i % ITEM_PIECES === 0) downState = undefined;
              downState = downlinkJob({ ...down, state: downState, inputs: [deltaBase64] }).state;
            }
          },
        },
        {
          name: 'delta of 200 ms through the pool, alone',
          async run(count) {
            for (let i = 0; i < count; i++) {
              if (i % ITEM_PIECES === 0) downLanes = newDownLanes();
              await downLanes[0]!.push(deltaBase64);
            }
          },
        },
        {
          name: `delta of 200 ms through the pool, of ${CALLS} calls together`,
          async run(count) {
            for (let i = 0; i < count; i += CALLS) {
              if (i % (ITEM_PIECES * CALLS) === 0) downLanes = newDownLanes();
              await Promise.all(downLanes.map((lane) => lane.push(deltaBase64)));
            }
          },
        },
      ],
      { count: COUNT },
    );
    return [...costs].map(([what, cost]) => ({ what, cost }));
  } finally {
    await pool.close();
    await bare.destroy();
  }
}

export function poolMarkdown(results: readonly PoolResult[]): string {
  return markdownTable(
    ['audio pool, one thread', 'elapsed, µs', 'CPU, all threads, µs', 'CPU, main thread, µs'],
    results.map(({ what, cost }) => [what, us(cost.wallUs), us(cost.cpuUs), us(cost.threadUs)]),
  );
}

if (import.meta.main) console.log(poolMarkdown(await benchPool()));
