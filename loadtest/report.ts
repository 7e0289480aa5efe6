import type { LatencyHistogram } from './histogram.ts';
import type { Counter, Timing } from './protocol.ts';
import type { SloResult } from './slo.ts';

/** Milliseconds. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** One second of the run, as the charts show it. Times in milliseconds, sizes in MB (10^6 bytes), CPU in % of one core. */
export interface ReportSecond {
  readonly second: number;
  readonly calls: number;
  readonly streamP50: number | null;
  readonly streamP95: number | null;
  readonly streamP99: number | null;
  readonly e2eP50: number | null;
  readonly e2eP99: number | null;
  readonly latenessP99: number | null;
  readonly arrivalP50: number | null;
  readonly arrivalP99: number | null;
  readonly errors: number;
  /** Only what happened. */
  readonly errorsByCode: Readonly<Record<string, number>>;
  readonly gaps: number;
  readonly latePolls: number;
  readonly underruns: number;
  readonly requests: number;
  readonly gatewayCpu: number | null;
  readonly gatewayRssMb: number | null;
  readonly loopP99: number | null;
  readonly loopMean: number | null;
  readonly generatorRssMb: number;
}

/** What a load test found. */
export interface LoadReport {
  readonly startedAt: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryMb: number; readonly node: string };
  /** What was run, as the command line had it. */
  readonly setup: Readonly<Record<string, string | number | boolean>>;
  /** Length of the steady state in seconds: all calls up and warm, none ending. 0: it was not reached. */
  readonly steadySeconds: number;
  /** Calls that were up in it, on average. */
  readonly steadyCalls: number | undefined;
  readonly isInterrupted: boolean;
  /** Of the steady state; of the whole run where there was none. */
  readonly timings: Readonly<Record<Timing, Quantiles>>;
  /** Of the whole run. */
  readonly counters: Readonly<Record<Counter, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  readonly gateway: {
    /** Of the steady state. */
    readonly cpuPercent: number | undefined;
    readonly cpuPercentPerCall: number | undefined;
    readonly rssBeforeMb: number | undefined;
    readonly rssMb: number | undefined;
    readonly rssMbPerCall: number | undefined;
    readonly loopP99Ms: number | undefined;
    readonly uplink: Quantiles | undefined;
    readonly downlink: Quantiles | undefined;
    readonly setup: Quantiles | undefined;
    readonly turn: Quantiles | undefined;
    readonly scrapeFailures: number;
  };
  readonly simulatorCpuPercent: number | undefined;
  readonly generator: {
    readonly processes: number;
    readonly cpuPercent: number | undefined;
    readonly rssMb: number;
    readonly latenessP50Ms: number;
    readonly latenessP99Ms: number;
    readonly latenessMaxMs: number;
    readonly loopP99Ms: number;
    /** The generator could not keep its schedule: it measured itself, not the gateway. */
    readonly generatorSaturated: boolean;
  };
  /** Every value objectives can be set on, by their names. */
  readonly measured: Readonly<Record<string, number | undefined>>;
  readonly slos: readonly SloResult[];
  readonly seconds: readonly ReportSecond[];
}

export function quantilesOf(histogram: LatencyHistogram): Quantiles {
  return {
    count: histogram.count,
    p50: histogram.quantile(0.5),
    p95: histogram.quantile(0.95),
    p99: histogram.quantile(0.99),
    max: histogram.max,
  };
}

const TIMING_NAMES: readonly (readonly [Timing, string])[] = [
  ['stream', 'POST stream'],
  ['response', 'POST stream, from when it was due'],
  ['pollOverrun', 'poll, beyond its timeout'],
  ['create', 'POST create'],
  ['end', 'POST end'],
  ['e2e', 'sample sent → heard'],
  ['arrival', 'frame of the answer, behind its schedule'],
  ['bargeInSeen', 'speech started → silence arrives'],
  ['bargeIn', 'speech started → silence is played'],
];

/** The report as text for a terminal. */
export function reportText(report: LoadReport): string {
  const { timings, gateway, generator, counters, errors } = report;
  const rows: string[][] = [['milliseconds', 'count', 'p50', 'p95', 'p99', 'max']];
  for (const [timing, name] of TIMING_NAMES)
    if (timings[timing].count > 0) rows.push(quantileRow(name, timings[timing]));
  const own: readonly (readonly [string, Quantiles | undefined])[] = [
    ['gateway: uplink added', gateway.uplink],
    ['gateway: downlink added', gateway.downlink],
    ['gateway: session setup', gateway.setup],
    ['gateway: turn', gateway.turn],
  ];
  for (const [name, quantiles] of own) if (quantiles) rows.push(quantileRow(name, quantiles));
  const lines = [table(rows), ''];
  const line = (name: string, text: string) => lines.push(`${`${name}:`.padEnd(16)}${text}`);
  const errorList = Object.entries(errors).map(([code, count]) => `${code} × ${count}`);
  line('errors', errorList.length === 0 ? `none of ${counters.requests} requests` : errorList.join(', '));
  line(
    'calls',
    `${counters.callsStarted} started, ${counters.callsLost} lost, ${counters.interruptions} interruptions`,
  );
  line('heard', heardText(report));
  if (report.setup.mode === 'duplex') {
    line(
      'stream',
      `${counters.underruns} underruns (${Math.round(counters.underrunMs)} ms), ${counters.dropped} chunks not sent`,
    );
  } else
    line(
      'late',
      `${counters.latePolls} late polls, ${counters.heldBack} chunks held back by a late answer, ${counters.dropped} dropped, ${counters.refused} refused`,
    );
  if (report.setup.overlap !== undefined) line('connections', `${counters.closedConnections} closed by the gateway`);
  line(
    'gateway',
    `${percent(gateway.cpuPercent)} CPU (${percent(gateway.cpuPercentPerCall, 3)} a call), ` +
      `${megabytes(gateway.rssMb)} RSS (${megabytes(gateway.rssBeforeMb)} before the first call, ${megabytes(gateway.rssMbPerCall, 2)} a call), ` +
      `event loop p99 ${gateway.loopP99Ms?.toFixed(1) ?? '?'} ms`,
  );
  line(
    'generator',
    `${percent(generator.cpuPercent)} CPU in ${generator.processes} process${generator.processes === 1 ? '' : 'es'}, ` +
      `sends late by p50 ${generator.latenessP50Ms.toFixed(1)}, p99 ${generator.latenessP99Ms.toFixed(1)}, max ${generator.latenessMaxMs.toFixed(1)} ms; ` +
      `event loop p99 ${generator.loopP99Ms.toFixed(1)} ms`,
  );
  if (report.simulatorCpuPercent !== undefined) line('simulator', `${percent(report.simulatorCpuPercent)} CPU`);
  for (const note of report.notes) lines.push(`  ${note}`);
  if (generator.generatorSaturated) {
    lines.push(
      '',
      'GENERATOR SATURATED: it sent its own chunks late, so latencies say nothing about the gateway.',
      'Use more --generators, fewer calls, or another machine.',
    );
  }
  if (report.steadySeconds === 0) lines.push('', 'The steady state was not reached: figures are of the whole run.');
  return lines.join('\n');
}

function heardText({ counters, setup }: LoadReport): string {
  const seconds = (counters.heardMs / 1000).toFixed(1);
  const gaps = `${counters.gaps} gaps (${Math.round(counters.gapMs)} ms)`;
  switch (setup.expect) {
    case 'loopback':
    case 'echo': {
      const compared = counters.exactSamples + counters.alikeSamples + counters.alteredSamples;
      const share = compared === 0 ? 0 : (100 * counters.exactSamples) / compared;
      return `${seconds} s, ${gaps}; ${counters.lostSamples} samples lost, ${counters.repeatedSamples} too many, ${counters.alteredSamples} altered; ${share.toFixed(2)} % identical`;
    }
    case 'scripted':
      return `${seconds} s, ${gaps}; ${counters.linesChecked} lines: ${counters.missingLines} missing, ${counters.foreignLines} of other calls, ${counters.unknownLines} unknown`;
    default:
      return `${seconds} s, ${gaps}`;
  }
}

function quantileRow(name: string, { count, p50, p95, p99, max }: Quantiles): string[] {
  return [name, String(count), ...[p50, p95, p99, max].map((ms) => ms.toFixed(ms < 100 ? 2 : 0))];
}

/** Columns, the first to the left, the rest to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
    .join('\n');
}

function percent(value: number | undefined, digits = 1): string {
  return value === undefined ? '?' : `${value.toFixed(digits)} %`;
}

function megabytes(value: number | undefined, digits = 0): string {
  return value === undefined ? '?' : `${value.toFixed(digits)} MB`;
}
