import type { GatewaySample } from './gateway-watch.ts';
import { LatencyHistogram } from './histogram.ts';
import { COUNTERS, type Counter, type GeneratorReport, TIMINGS, type Timing } from './protocol.ts';
import type { ReportSecond } from './report.ts';

/** Seconds that are kept open for generators that report late. */
const OPEN_SECONDS = 5;
/** Different sentences that are kept. */
const MAX_NOTES = 15;

/** A second that is still being gathered. */
interface OpenSecond {
  readonly stream: LatencyHistogram;
  readonly e2e: LatencyHistogram;
  readonly lateness: LatencyHistogram;
  readonly arrival: LatencyHistogram;
  readonly reports: Map<number, GeneratorReport>;
  readonly errorsByCode: Record<string, number>;
  counts: { errors: number; gaps: number; latePolls: number; underruns: number; requests: number };
  gateway: Pick<ReportSecond, 'gatewayCpu' | 'gatewayRssMb' | 'loopP99' | 'loopMean'>;
}

/** Puts together what all generators and the gateway report. What it keeps grows by one row a second. */
export class Collector {
  readonly rows: ReportSecond[] = [];
  readonly counters = Object.fromEntries(COUNTERS.map((counter) => [counter, 0])) as Record<Counter, number>;
  readonly errors: Record<string, number> = {};
  readonly #notes = new Map<string, number>();
  readonly #whole = newHistograms();
  readonly #steady = newHistograms();
  readonly #open = new Map<number, OpenSecond>();
  readonly #last = new Map<number, GeneratorReport>();
  /** By generator. */
  readonly #steadyCalls = new Map<number, { sum: number; seconds: number }>();
  readonly #startMs: number;
  readonly #isSteady: (second: number) => boolean;
  #lastSample: GatewaySample | undefined;

  /** @param isSteady whether a second belongs to the steady state */
  constructor(startMs: number, isSteady: (second: number) => boolean) {
    this.#startMs = startMs;
    this.#isSteady = isSteady;
  }

  /** Calls that are up. */
  get activeCalls(): number {
    let calls = 0;
    for (const { activeCalls } of this.#last.values()) calls += activeCalls;
    return calls;
  }

  /** Calls that were up in the steady state, on average; undefined: there was none. */
  get steadyCalls(): number | undefined {
    if (this.#steadyCalls.size === 0) return undefined;
    let calls = 0;
    for (const { sum, seconds } of this.#steadyCalls.values()) calls += sum / seconds;
    return calls;
  }

  /** Requests that failed, and calls that the gateway gave up. */
  get errorCount(): number {
    return Object.values(this.errors).reduce((sum, count) => sum + count, 0);
  }

  /** What went wrong, in sentences, the same ones once. */
  get notes(): string[] {
    return [...this.#notes].map(([note, count]) => (count === 1 ? note : `${note} (${count} times)`));
  }

  get generatorRssBytes(): number {
    let bytes = 0;
    for (const { rssBytes } of this.#last.values()) bytes += rssBytes;
    return bytes;
  }

  /** CPU time all generators have spent up to their last report, in seconds. */
  get generatorCpuSeconds(): number {
    let seconds = 0;
    for (const { cpuSeconds } of this.#last.values()) seconds += cpuSeconds;
    return seconds;
  }

  takeReport(generator: number, report: GeneratorReport): void {
    const { second, timings, counters, errors, notes } = report;
    const row = this.#at(second);
    row?.reports.set(generator, report);
    this.#last.set(generator, report);
    const isSteady = this.#isSteady(second);
    if (isSteady) {
      const { sum, seconds } = this.#steadyCalls.get(generator) ?? { sum: 0, seconds: 0 };
      this.#steadyCalls.set(generator, { sum: sum + report.activeCalls, seconds: seconds + 1 });
    }
    for (const timing of TIMINGS) {
      const snapshot = timings[timing];
      if (!snapshot) continue;
      this.#whole[timing].merge(snapshot);
      if (isSteady) this.#steady[timing].merge(snapshot);
      if (row && isCharted(timing)) row[timing].merge(snapshot);
    }
    for (const counter of COUNTERS) this.counters[counter] += counters[counter] ?? 0;
    let failed = 0;
    for (const [code, count] of Object.entries(errors)) {
      this.errors[code] = (this.errors[code] ?? 0) + count;
      failed += count;
      if (row) row.errorsByCode[code] = (row.errorsByCode[code] ?? 0) + count;
    }
    if (row) {
      row.counts.errors += failed;
      row.counts.gaps += counters.gaps ?? 0;
      row.counts.latePolls += counters.latePolls ?? 0;
      row.counts.underruns += counters.underruns ?? 0;
      row.counts.requests += counters.requests ?? 0;
    }
    for (const note of notes) {
      const count = this.#notes.get(note) ?? 0;
      if (count > 0 || this.#notes.size < MAX_NOTES) this.#notes.set(note, count + 1);
    }
    this.#closeUpTo(second - OPEN_SECONDS);
  }

  takeSample(sample: GatewaySample): void {
    const before = this.#lastSample;
    this.#lastSample = sample;
    const row = this.#at(Math.floor((sample.atMs - this.#startMs) / 1000));
    if (!row) return;
    row.gateway = {
      gatewayCpu: before
        ? (100_000 * (sample.cpuSeconds - before.cpuSeconds)) / Math.max(1, sample.atMs - before.atMs)
        : null,
      gatewayRssMb: sample.rssBytes / 1e6,
      loopP99: sample.loopP99Ms,
      loopMean: sample.loopMeanMs,
    };
  }

  /** No report will come any more. */
  close(): void {
    this.#closeUpTo(Number.POSITIVE_INFINITY);
  }

  /** What was timed in the steady state, or in the whole run where there was none. */
  timings(hasSteadyState: boolean): Record<Timing, LatencyHistogram> {
    return hasSteadyState ? this.#steady : this.#whole;
  }

  /** The second's row, made where it is new; undefined for one that is closed, or before the start. */
  #at(second: number): OpenSecond | undefined {
    if (second < this.rows.length || second < 0) return undefined;
    let row = this.#open.get(second);
    if (!row) {
      row = newSecond();
      this.#open.set(second, row);
    }
    return row;
  }

  #closeUpTo(last: number): void {
    const seconds = [...this.#open.keys()].sort((a, b) => a - b);
    for (const second of seconds) {
      if (second > last) return;
      // Rows are numbered by their seconds: one in which nothing was heard of anybody is a row as well.
      while (this.rows.length < second) this.rows.push(closed(this.rows.length, newSecond()));
      this.rows.push(closed(second, this.#open.get(second)!));
      this.#open.delete(second);
    }
  }
}

function isCharted(timing: Timing): timing is 'stream' | 'e2e' | 'lateness' | 'arrival' {
  return timing === 'stream' || timing === 'e2e' || timing === 'lateness' || timing === 'arrival';
}

function newSecond(): OpenSecond {
  return {
    stream: new LatencyHistogram(),
    e2e: new LatencyHistogram(),
    lateness: new LatencyHistogram(),
    arrival: new LatencyHistogram(),
    reports: new Map(),
    errorsByCode: {},
    counts: { errors: 0, gaps: 0, latePolls: 0, underruns: 0, requests: 0 },
    gateway: { gatewayCpu: null, gatewayRssMb: null, loopP99: null, loopMean: null },
  };
}

function closed(
  second: number,
  { stream, e2e, lateness, arrival, reports, errorsByCode, counts, gateway }: OpenSecond,
): ReportSecond {
  let calls = 0;
  let rssBytes = 0;
  for (const report of reports.values()) {
    calls += report.activeCalls;
    rssBytes += report.rssBytes;
  }
  const quantile = (histogram: LatencyHistogram, q: number) => (histogram.count === 0 ? null : histogram.quantile(q));
  return {
    second,
    calls,
    streamP50: quantile(stream, 0.5),
    streamP95: quantile(stream, 0.95),
    streamP99: quantile(stream, 0.99),
    e2eP50: quantile(e2e, 0.5),
    e2eP99: quantile(e2e, 0.99),
    latenessP99: quantile(lateness, 0.99),
    arrivalP50: quantile(arrival, 0.5),
    arrivalP99: quantile(arrival, 0.99),
    ...counts,
    errorsByCode,
    ...gateway,
    generatorRssMb: rssBytes / 1e6,
  };
}

function newHistograms(): Record<Timing, LatencyHistogram> {
  return Object.fromEntries(TIMINGS.map((timing) => [timing, new LatencyHistogram()])) as Record<
    Timing,
    LatencyHistogram
  >;
}
