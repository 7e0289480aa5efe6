import { totalmem } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Descriptors } from './descriptors.ts';

/** Beyond which load new calls are refused. */
export interface OverloadLimits {
  /** Mean milliseconds, over a second, by which the main thread's event loop is late. */
  readonly eventLoopMs: number;
  /** Jobs waiting for the audio pool, for a whole second. */
  readonly poolQueue: number;
  /** Resident memory of the process in megabytes. */
  readonly rssMb: number;
}

/** What the load is read from. */
export interface LoadProbes {
  /** Mean lateness of the event loop since the last call, in milliseconds. */
  readonly eventLoopMs: () => number;
  readonly poolQueue: () => number;
  readonly rssMb: () => number;
}

export interface OverloadGuardOptions {
  readonly limits: OverloadLimits;
  readonly probes: LoadProbes;
  readonly descriptors?: Pick<Descriptors, 'look' | 'shortage'> | undefined;
  /** Told when new calls begin to be refused, with the reason, and when they no longer are. */
  readonly onChange?: (reason: string | undefined) => void;
}

const SAMPLE_MS = 250;
/** Samples that make up the second over which load is judged: a burst is no overload. */
const SAMPLES = 4;
const BYTES_PER_MB = 1_048_576;

/**
 * Says when the process has more to do than it can, so that new calls go elsewhere and those that run stay whole.
 * Whoever creates it closes it.
 */
export class OverloadGuard {
  readonly #options: OverloadGuardOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #eventLoopMs: number[] = [];
  readonly #poolQueue: number[] = [];
  #rssMb = 0;
  #reason: string | undefined;

  constructor(options: OverloadGuardOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  /** Why new calls are to be refused, as a sentence for the client; undefined: they are not. */
  get reason(): string | undefined {
    // Many calls may have begun since the last sample.
    return this.#reason ?? this.#options.descriptors?.shortage;
  }

  /** What the load is, and what is bearable. */
  get load(): Readonly<Record<keyof OverloadLimits, { readonly now: number; readonly limit: number }>> {
    const { limits } = this.#options;
    return {
      eventLoopMs: { now: Math.round(this.#lateMs * 10) / 10, limit: limits.eventLoopMs },
      poolQueue: { now: Math.min(...(this.#poolQueue.length > 0 ? this.#poolQueue : [0])), limit: limits.poolQueue },
      rssMb: { now: Math.round(this.#rssMb), limit: limits.rssMb },
    };
  }

  /** Mean lateness over the last second. */
  get #lateMs(): number {
    return this.#eventLoopMs.reduce((sum, sample) => sum + sample, 0) / Math.max(1, this.#eventLoopMs.length);
  }

  /** Looks at the load. Called four times a second. */
  sample(): void {
    const { probes, descriptors, onChange } = this.#options;
    descriptors?.look();
    keep(this.#eventLoopMs, probes.eventLoopMs());
    keep(this.#poolQueue, probes.poolQueue());
    const before = this.#reason;
    this.#rssMb = probes.rssMb();
    this.#reason = this.#judge(this.#rssMb);
    if ((before === undefined) !== (this.#reason === undefined)) onChange?.(this.#reason);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #judge(rssMb: number): string | undefined {
    const { limits, descriptors } = this.#options;
    const shortage = descriptors?.shortage;
    if (shortage !== undefined) return shortage;
    if (rssMb > limits.rssMb) {
      return `the gateway is overloaded: it uses ${Math.round(rssMb)} MB of memory, its limit is ${limits.rssMb}`;
    }
    // A second has to have passed: what happens while the process starts says nothing.
    if (this.#eventLoopMs.length < SAMPLES) return undefined;
    const lateMs = this.#lateMs;
    if (lateMs > limits.eventLoopMs) {
      return `the gateway is overloaded: its event loop is ${Math.round(lateMs)} ms late, its limit is ${limits.eventLoopMs}`;
    }
    const queue = Math.min(...this.#poolQueue);
    if (queue > limits.poolQueue) {
      return `the gateway is overloaded: ${queue} audio jobs wait, its limit is ${limits.poolQueue}`;
    }
    return undefined;
  }
}

function keep(samples: number[], sample: number): void {
  samples.push(sample);
  if (samples.length > SAMPLES) samples.shift();
}

/** Probes of this process. `close` ends the measurement. */
export function processProbes(poolQueue: () => number): LoadProbes & { close(): void } {
  const resolutionMs = 20;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  let rssMb = 0;
  delay.enable();
  return {
    // What is recorded is the time between two looks, on time or late; nothing recorded yet reads as NaN.
    eventLoopMs: () => {
      const meanMs = delay.mean / 1e6;
      delay.reset();
      return Math.max(0, (Number.isFinite(meanMs) ? meanMs : 0) - resolutionMs);
    },
    poolQueue,
    rssMb: () => {
      try {
        rssMb = process.memoryUsage.rss() / BYTES_PER_MB;
      } catch {
        // It is read from a file, for which there may be no descriptor. The last figure stays.
      }
      return rssMb;
    },
    close: () => {
      delay.disable();
    },
  };
}

/** Nine tenths of what the process may have: the machine's memory, or its container's limit. */
export function defaultRssLimitMb(): number {
  return Math.floor(
    (Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem()) * 0.9) / BYTES_PER_MB,
  );
}
