/** When things are to happen, in milliseconds of whatever clock `startMs` is on. */

/** When call number `index` (from 0) starts. */
export function callStartMs(startMs: number, index: number, rampPerSecond: number): number {
  return startMs + (index * 1000) / rampPerSecond;
}

/** How long it takes until all calls have started. */
export function rampMs(calls: number, rampPerSecond: number): number {
  return ((calls - 1) * 1000) / rampPerSecond;
}

const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

/**
 * How far into a chunk's length call number `index` sends its chunks. Calls that start ten a second would all send at the
 * same instant; real ones do not. Multiples of the golden ratio spread any number of calls evenly.
 */
export function phaseMs(index: number, chunkMs: number): number {
  return ((index * GOLDEN_RATIO) % 1) * chunkMs;
}

/** The chunks of one call: number n is due at `t0 + n × chunk`, whatever became of those before it. */
export class ChunkSchedule {
  readonly #t0Ms: number;
  readonly #chunkMs: number;
  #next = 0;

  constructor(t0Ms: number, chunkMs: number) {
    this.#t0Ms = t0Ms;
    this.#chunkMs = chunkMs;
  }

  /** Number of the next chunk. */
  get next(): number {
    return this.#next;
  }

  /** When the next chunk is due. */
  get dueMs(): number {
    return this.#t0Ms + this.#next * this.#chunkMs;
  }

  /** The next chunk has been taken care of. */
  advance(): void {
    this.#next += 1;
  }
}

/** Splits `calls` calls over `generators` processes: call i is number ⌊i / generators⌋ of process i mod generators. */
export function callsOfGenerator(calls: number, generators: number, generator: number): number[] {
  const indices: number[] = [];
  for (let index = generator; index < calls; index += generators) indices.push(index);
  return indices;
}

/** Most calls one process plays; past it the process itself would be what is late. */
export const CALLS_A_GENERATOR = 150;

export function generatorsFor(calls: number): number {
  return Math.ceil(calls / CALLS_A_GENERATOR);
}
