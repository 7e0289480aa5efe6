import { readFileSync } from 'node:fs';
import { Client } from 'undici';
import { monotonicNowMs } from '../src/clock.ts';
import { parseExposition, type Scrape, sumOf } from './prometheus.ts';

const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** Node's sampler is a timer of this interval and counts it in: without it an idle gateway would show 10 ms. */
const LOOP_SAMPLER_MS = 10;

/** What the gateway said of itself at one moment. */
export interface GatewaySample {
  /** In milliseconds of `monotonicNowMs`. */
  readonly atMs: number;
  /** CPU time spent since its start, in seconds. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** p99 and mean of the event-loop delay since the last scrape, in milliseconds. */
  readonly loopP99Ms: number;
  readonly loopMeanMs: number;
  readonly sessions: number;
  readonly scrape: Scrape;
}

export interface GatewayWatchOptions {
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Told about each sample. */
  readonly onSample: (sample: GatewaySample) => void;
}

/** Reads a gateway's `/metrics` every second. Keeps nothing but the last sample. */
export class GatewayWatch {
  readonly #client: Client;
  readonly #options: GatewayWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #failures = 0;
  #lastError: Error | undefined;

  constructor(options: GatewayWatchOptions) {
    this.#options = options;
    this.#client = new Client(options.origin);
  }

  /** Scrapes that failed. */
  get failures(): number {
    return this.#failures;
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Takes a sample now. @throws {Error} when the gateway does not answer with metrics */
  async sample(): Promise<GatewaySample> {
    const { statusCode, body } = await this.#client.request({
      method: 'GET',
      path: '/metrics',
      headers: this.#options.headers,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`/metrics answers ${statusCode}`);
    const scrape = parseExposition(text);
    return {
      atMs: monotonicNowMs(),
      cpuSeconds: sumOf('process_cpu_seconds_total', scrape),
      rssBytes: sumOf('process_resident_memory_bytes', scrape),
      loopP99Ms: loopDelayMs('nodejs_eventloop_lag_p99_seconds', scrape),
      loopMeanMs: loopDelayMs('nodejs_eventloop_lag_mean_seconds', scrape),
      sessions: sumOf('voice_gateway_sessions_active', scrape),
      scrape,
    };
  }

  /** Samples every second until closed; a scrape that takes longer delays the next. */
  start(): void {
    const startedAtMs = monotonicNowMs();
    this.sample()
      .then((sample) => this.#options.onSample(sample))
      .catch((error: Error) => {
        this.#failures += 1;
        this.#lastError = error;
      })
      .finally(() => {
        if (this.#closed) return;
        this.#timer = setTimeout(() => this.start(), Math.max(100, startedAtMs + INTERVAL_MS - monotonicNowMs()));
      });
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (!this.#client.destroyed) await this.#client.destroy();
  }
}

function loopDelayMs(name: string, scrape: Scrape): number {
  return Math.max(0, sumOf(name, scrape) * 1000 - LOOP_SAMPLER_MS);
}

/** Resident memory of a process of this machine; undefined where there is no `/proc`. */
export function processRssBytes(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

const CLOCK_TICKS_A_SECOND = 100;

/** CPU seconds a process of this machine has spent; undefined where there is no `/proc`. */
export function processCpuSeconds(pid: number): number | undefined {
  try {
    // The second field, the name, may hold blanks and parentheses; what follows the last one does not.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_A_SECOND;
  } catch {
    return undefined;
  }
}
