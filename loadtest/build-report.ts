import { cpus, totalmem } from 'node:os';
import type { Collector } from './collector.ts';
import type { GatewaySample } from './gateway-watch.ts';
import { type LoadOptions, SATURATED_MS } from './options.ts';
import { type BucketCounts, bucketQuantile, histogramDelta, type Scrape } from './prometheus.ts';
import type { Timing } from './protocol.ts';
import { type LoadReport, type Quantiles, quantilesOf } from './report.ts';
import { judge } from './slo.ts';

/** CPU times of everything at one moment. */
export interface Snapshot {
  /** In milliseconds of `monotonicNowMs`. */
  readonly atMs: number;
  /** undefined: the gateway does not let its metrics be read. */
  readonly gateway: GatewaySample | undefined;
  /** undefined: it was not started here. */
  readonly simulatorCpuSeconds: number | undefined;
  readonly generatorCpuSeconds: number;
}

/** What a run has gathered. */
export interface Gathered {
  readonly startedAt: Date;
  readonly collector: Collector;
  /** Beginning and end of the steady state; undefined: it was not reached, or not to its end. */
  readonly steady: { readonly begin: Snapshot; readonly end: Snapshot } | undefined;
  /** The gateway before the first call, and after the last. */
  readonly first: GatewaySample | undefined;
  readonly last: GatewaySample | undefined;
  /** Resident memory in bytes, second by second: of the idle gateway, and in the steady state. */
  readonly rssBefore: readonly number[];
  readonly rssSteady: readonly number[];
  /** p99 of the event-loop delay in milliseconds, second by second. */
  readonly loopSteady: readonly number[];
  readonly scrapeFailures: number;
  readonly isInterrupted: boolean;
}

export function buildReport(options: LoadOptions, gathered: Gathered): LoadReport {
  const { collector, steady, startedAt, isInterrupted } = gathered;
  const gateway = gatewayPart(gathered);
  const timings = timingsOf(collector, steady !== undefined);
  const measured = measuredOf(options, collector, gateway, timings);
  const processors = cpus();
  return {
    startedAt: startedAt.toISOString(),
    machine: {
      cpu: processors[0]?.model.trim() ?? 'unknown',
      cores: processors.length,
      memoryMb: Math.round(totalmem() / 1e6),
      node: process.version,
    },
    setup: setupOf(options),
    steadyCalls: steady && collector.steadyCalls,
    steadySeconds: steady ? (steady.end.atMs - steady.begin.atMs) / 1000 : 0,
    isInterrupted,
    timings,
    counters: collector.counters,
    errors: collector.errors,
    notes: collector.notes,
    gateway,
    simulatorCpuPercent: cpuPercent(gathered, (at) => at.simulatorCpuSeconds),
    generator: generatorPart(options, gathered, timings),
    measured,
    slos: judge(options.slos, measured),
    seconds: collector.rows,
  };
}

/** CPU in the steady state, in % of one core. */
function cpuPercent({ steady }: Gathered, secondsOf: (at: Snapshot) => number | undefined): number | undefined {
  const from = steady && secondsOf(steady.begin);
  const to = steady && secondsOf(steady.end);
  if (!steady || from === undefined || to === undefined) return undefined;
  return (100_000 * (to - from)) / (steady.end.atMs - steady.begin.atMs);
}

function gatewayPart(gathered: Gathered): LoadReport['gateway'] {
  const { collector, steady, first, last, rssBefore, rssSteady, loopSteady, scrapeFailures } = gathered;
  const cpu = cpuPercent(gathered, ({ gateway }) => gateway?.cpuSeconds);
  const before = median(rssBefore);
  const rss = median(rssSteady);
  const from = steady?.begin.gateway?.scrape ?? first?.scrape;
  const to = steady?.end.gateway?.scrape ?? last?.scrape;
  // Those that were up, should some not have come up at all.
  const calls = collector.steadyCalls;
  const perCall = (value: number | undefined) => (value === undefined || !calls ? undefined : value / calls);
  const megabytes = (bytes: number | undefined) => (bytes === undefined ? undefined : bytes / 1e6);
  return {
    cpuPercent: cpu,
    cpuPercentPerCall: perCall(cpu),
    rssBeforeMb: megabytes(before),
    rssMb: megabytes(rss),
    rssMbPerCall: rss === undefined || before === undefined ? undefined : perCall((rss - before) / 1e6),
    loopP99Ms: loopSteady.length === 0 ? undefined : Math.max(...loopSteady),
    uplink: gatewayQuantiles('voice_gateway_uplink_latency_seconds', to, from),
    downlink: gatewayQuantiles('voice_gateway_downlink_latency_seconds', to, from),
    // Sessions are set up before the steady state.
    setup: gatewayQuantiles('voice_gateway_session_setup_seconds', last?.scrape ?? to, first?.scrape),
    turn: gatewayQuantiles('voice_gateway_turn_latency_seconds', to, from),
    scrapeFailures,
  };
}

function generatorPart(
  options: LoadOptions,
  gathered: Gathered,
  { lateness, loop }: LoadReport['timings'],
): LoadReport['generator'] {
  return {
    processes: options.generators,
    cpuPercent: cpuPercent(gathered, (at) => at.generatorCpuSeconds),
    rssMb: gathered.collector.generatorRssBytes / 1e6,
    latenessP50Ms: lateness.p50,
    latenessP99Ms: lateness.p99,
    latenessMaxMs: lateness.max,
    loopP99Ms: loop.p99,
    generatorSaturated: Math.max(lateness.p99, loop.p99) > SATURATED_MS,
  };
}

function timingsOf(collector: Collector, hasSteadyState: boolean): LoadReport['timings'] {
  const steady = collector.timings(hasSteadyState);
  const whole = collector.timings(false);
  const all = Object.entries(steady).map(([name, histogram]) => [name, quantilesOf(histogram)]);
  return {
    ...(Object.fromEntries(all) as Record<Timing, Quantiles>),
    // Calls are created and ended outside the steady state.
    create: quantilesOf(whole.create),
    end: quantilesOf(whole.end),
  };
}

function measuredOf(
  options: LoadOptions,
  { counters, errorCount }: Collector,
  gateway: LoadReport['gateway'],
  timings: LoadReport['timings'],
): LoadReport['measured'] {
  const { expectation, format } = options;
  const isLoopback = expectation === 'loopback';
  return {
    ...named('uplink', gateway.uplink),
    ...named('downlink', gateway.downlink),
    ...named('e2e', timings.e2e),
    ...named('stream', timings.stream),
    ...named('response', timings.response),
    ...named('arrival', timings.arrival),
    ...named('barge_in', timings.bargeIn),
    ...named('barge_in_seen', timings.bargeInSeen),
    ...named('create', timings.create),
    ...named('setup', gateway.setup),
    ...named('turn', gateway.turn),
    errors: errorCount,
    error_rate: counters.requests === 0 ? undefined : (100 * errorCount) / counters.requests,
    gaps: counters.gaps,
    late_polls: counters.latePolls,
    underruns: options.mode === 'duplex' ? counters.underruns : undefined,
    closed_connections: options.mode === 'duplex' ? undefined : counters.closedConnections,
    lost_samples: isLoopback ? counters.lostSamples : undefined,
    repeated_samples: isLoopback ? counters.repeatedSamples : undefined,
    altered: isLoopback || expectation === 'echo' ? (counters.alteredSamples * 1000) / format.sampleRateHz : undefined,
    wrong_lines:
      expectation === 'scripted' ? counters.missingLines + counters.foreignLines + counters.unknownLines : undefined,
    cpu_per_call: gateway.cpuPercentPerCall,
    memory_per_call: gateway.rssMbPerCall,
    eventloop_p99: gateway.loopP99Ms,
  };
}

/** Quantiles under the names that objectives have for them; undefined where nothing was measured. */
function named(name: string, quantiles: Quantiles | undefined): Record<string, number | undefined> {
  const values = quantiles && quantiles.count > 0 ? quantiles : undefined;
  return { [`${name}_p50`]: values?.p50, [`${name}_p95`]: values?.p95, [`${name}_p99`]: values?.p99 };
}

function setupOf(options: LoadOptions): LoadReport['setup'] {
  return {
    calls: options.calls,
    mode: options.mode,
    ...(options.mode === 'duplex'
      ? { leadMs: options.duplex.leadMs, frameMs: options.duplex.frameMs, tickMs: options.duplex.tickMs }
      : { keepAlive: options.keepAlive, body: options.body }),
    ...(options.overlap === 'no' ? {} : { overlap: options.overlap }),
    ...(options.acknowledges ? {} : { acknowledges: false }),
    chunkMs: options.chunkMs,
    rampPerSecond: options.rampPerSecond,
    durationSeconds: options.durationMs / 1000,
    warmUpSeconds: options.warmUpMs / 1000,
    ...(options.callLengthMs === undefined ? {} : { callLengthSeconds: options.callLengthMs / 1000 }),
    encoding: options.format.encoding,
    sampleRateHz: options.format.sampleRateHz,
    expect: options.expectation,
    generators: options.generators,
    jitterMs: options.jitterMs,
    wav: options.wavFiles.map((file) => file.replace(/^.*\//, '')).join(' '),
    ...(options.url === undefined
      ? {
          sessionWorkers: options.sessionWorkers,
          ...(options.audioThreads === undefined ? {} : { audioThreads: options.audioThreads }),
          upstream: options.tls ? 'wss' : 'ws',
        }
      : { url: options.url }),
  };
}

/** Of a histogram of the gateway, in milliseconds; `max` is the upper edge of the highest bucket that is not empty. */
function gatewayQuantiles(name: string, to: Scrape | undefined, from: Scrape | undefined): Quantiles | undefined {
  const delta = to && histogramDelta(name, to, from);
  const count = delta?.counts.reduce((sum, value) => sum + value, 0) ?? 0;
  if (!delta || count === 0) return undefined;
  const ms = (q: number) => bucketQuantile(delta, q)! * 1000;
  return { count, p50: ms(0.5), p95: ms(0.95), p99: ms(0.99), max: highestEdge(delta) * 1000 };
}

function highestEdge({ edges, counts }: BucketCounts): number {
  return edges[counts.findLastIndex((count) => count > 0)] ?? 0;
}

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
