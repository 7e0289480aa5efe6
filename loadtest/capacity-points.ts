import type { RequestMode } from './protocol.ts';
import type { LoadReport, Quantiles } from './report.ts';

/** One way to load a gateway. */
export interface CapacityPoint {
  readonly calls: number;
  readonly sessionWorkers: 'dedicated' | number;
  readonly mode: RequestMode;
  readonly keepAlive: boolean;
  readonly tls: boolean;
  /** Audio in a delta of the upstream. */
  readonly deltaMs: number;
}

/** What a point is found by in the file of results. */
export function keyOf({ calls, sessionWorkers, mode, keepAlive, tls, deltaMs }: CapacityPoint): string {
  const connections = keepAlive ? 'keep-alive' : 'no keep-alive';
  return [sessionWorkers, mode, connections, tls ? 'wss' : 'ws', `deltas of ${deltaMs} ms`, `${calls} calls`].join(
    ', ',
  );
}

export interface Matrix {
  readonly calls: readonly number[];
  readonly sessionWorkers: readonly ('dedicated' | number)[];
  readonly modes: readonly RequestMode[];
  readonly keepAlive: readonly boolean[];
  readonly tls: readonly boolean[];
  readonly deltaMs: readonly number[];
}

/** Every combination, those of one setting together and rising in calls. */
export function pointsOf({ calls, sessionWorkers, modes, keepAlive, tls, deltaMs }: Matrix): CapacityPoint[] {
  const points: CapacityPoint[] = [];
  for (const workers of sessionWorkers) {
    for (const mode of modes) {
      for (const kept of keepAlive) {
        for (const secure of tls) {
          for (const delta of deltaMs) {
            for (const count of calls) {
              points.push({
                calls: count,
                sessionWorkers: workers,
                mode,
                keepAlive: kept,
                tls: secure,
                deltaMs: delta,
              });
            }
          }
        }
      }
    }
  }
  return points;
}

/** What is kept of a point's load test. Milliseconds, MB, % of one core. */
export interface CapacityResult {
  readonly point: CapacityPoint;
  readonly measuredAt: string;
  readonly machine: LoadReport['machine'];
  readonly steadySeconds: number;
  readonly cpuPercent: number | null;
  readonly cpuPercentPerCall: number | null;
  readonly rssMb: number | null;
  readonly rssMbPerCall: number | null;
  readonly loopP99Ms: number | null;
  readonly uplink: Quantiles | null;
  readonly downlink: Quantiles | null;
  readonly e2e: Quantiles;
  readonly stream: Quantiles;
  readonly errors: number;
  readonly gaps: number;
  readonly lostSamples: number;
  readonly heldBack: number;
  readonly simulatorCpuPercent: number | null;
  readonly generatorCpuPercent: number | null;
  readonly generatorLatenessP99Ms: number;
  readonly generatorSaturated: boolean;
}

export function resultOf(point: CapacityPoint, report: LoadReport): CapacityResult {
  const { gateway, generator, counters, timings, measured } = report;
  return {
    point,
    measuredAt: report.startedAt,
    machine: report.machine,
    steadySeconds: report.steadySeconds,
    cpuPercent: gateway.cpuPercent ?? null,
    cpuPercentPerCall: gateway.cpuPercentPerCall ?? null,
    rssMb: gateway.rssMb ?? null,
    rssMbPerCall: gateway.rssMbPerCall ?? null,
    loopP99Ms: gateway.loopP99Ms ?? null,
    uplink: gateway.uplink ?? null,
    downlink: gateway.downlink ?? null,
    e2e: timings.e2e,
    stream: timings.stream,
    errors: measured.errors ?? 0,
    gaps: counters.gaps,
    lostSamples: counters.lostSamples,
    heldBack: counters.heldBack,
    simulatorCpuPercent: report.simulatorCpuPercent ?? null,
    generatorCpuPercent: generator.cpuPercent ?? null,
    generatorLatenessP99Ms: generator.latenessP99Ms,
    generatorSaturated: generator.generatorSaturated,
  };
}

const HEADER = [
  'calls',
  'CPU a call, %',
  'CPU, %',
  'MB a call',
  'uplink p50 / p95 / p99',
  'downlink p50 / p95 / p99',
  'sent → heard p50 / p99',
  'POST p99',
  'loop p99',
  'lost samples',
  'gaps',
  'errors',
  'generator p99',
] as const;

/** The results as Markdown: a table for each setting, a row for each number of calls. */
export function capacityMarkdown(results: readonly CapacityResult[]): string {
  const groups = new Map<string, CapacityResult[]>();
  for (const result of results) {
    const { sessionWorkers, mode, keepAlive, tls, deltaMs } = result.point;
    const workers = sessionWorkers === 'dedicated' ? 'dedicated session workers' : `${sessionWorkers} session workers`;
    const title = `${workers}, ${mode}, ${keepAlive ? 'keep-alive' : 'a connection a request'}, upstream ${tls ? 'wss' : 'ws'} with deltas of ${deltaMs} ms`;
    groups.set(title, [...(groups.get(title) ?? []), result]);
  }
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const tables = [...groups]
    .map(([title, rows]) =>
      [
        `### ${title}`,
        '',
        line(HEADER),
        line(HEADER.map(() => '---:')),
        ...rows.toSorted((a, b) => a.point.calls - b.point.calls).map((row) => line(cellsOf(row))),
      ].join('\n'),
    )
    .join('\n\n');
  return `${machinesOf(results)} Latencies are milliseconds, CPU is in % of one core.\n\n${tables}`;
}

/** Where and when the results were measured. */
function machinesOf(results: readonly CapacityResult[]): string {
  const machines = results.map(
    ({ machine, measuredAt }) =>
      `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${measuredAt.slice(0, 10)}`,
  );
  return `Measured on ${[...new Set(machines)].join('; ')}.`;
}

function cellsOf(result: CapacityResult): string[] {
  const { point, uplink, downlink, e2e, stream } = result;
  return [
    String(point.calls),
    fixed(result.cpuPercentPerCall, 2),
    fixed(result.cpuPercent, 0),
    fixed(result.rssMbPerCall, 2),
    uplink ? [uplink.p50, uplink.p95, uplink.p99].map(ms).join(' / ') : '–',
    downlink ? [downlink.p50, downlink.p95, downlink.p99].map(ms).join(' / ') : '–',
    `${ms(e2e.p50)} / ${ms(e2e.p99)}`,
    ms(stream.p99),
    fixed(result.loopP99Ms, 1),
    String(result.lostSamples),
    String(result.gaps),
    String(result.errors),
    `${ms(result.generatorLatenessP99Ms)}${result.generatorSaturated ? ' **saturated**' : ''}`,
  ];
}

function ms(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

function fixed(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits);
}

const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';

/** Puts the tables between their marks on a page; a page without marks gets them at its end. */
export function withTables(page: string, tables: string): string {
  const block = `${BEGIN}\n\n${tables}\n\n${END}`;
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) return `${page.trimEnd()}${page.trim() === '' ? '' : '\n\n'}${block}\n`;
  return page.slice(0, begin) + block + page.slice(end + END.length);
}
