import { parseDurationMs } from './parse.ts';

/** What a service level objective may be about. Values are "at most". */
export interface SloMetric {
  readonly name: string;
  readonly unit: 'ms' | 'count' | 'percent' | 'megabytes' | 'samples';
  readonly description: string;
}

const latency = (name: string, description: string): SloMetric[] =>
  ['p50', 'p95', 'p99'].map((quantile) => ({ name: `${name}_${quantile}`, unit: 'ms', description }));

export const SLO_METRICS: readonly SloMetric[] = [
  ...latency('uplink', 'chunk received → frame on the upstream socket, as the gateway measured it'),
  ...latency('downlink', 'reply audio off the upstream socket → in the outbox, as the gateway measured it'),
  ...latency('e2e', 'sample sent → the same sample heard, without chunking (loopback)'),
  ...latency('stream', 'POST of a chunk, from sending to answer'),
  ...latency('response', 'POST of a chunk, from when it was due to its answer'),
  ...latency('arrival', 'frame of the answer, behind its schedule (duplex)'),
  ...latency('barge_in', 'the upstream says that the caller speaks → silence is played (duplex, scripted)'),
  ...latency('barge_in_seen', 'the same, until that silence has come in'),
  ...latency('create', 'creating a session, as the caller sees it'),
  ...latency('setup', 'creating a session, as the gateway measured it'),
  ...latency('turn', 'end of speech → first reply audio handed to the caller, as the gateway measured it'),
  { name: 'errors', unit: 'count', description: 'requests that failed' },
  { name: 'error_rate', unit: 'percent', description: 'requests that failed, of all' },
  { name: 'gaps', unit: 'count', description: 'times a caller heard nothing in the middle of a reply' },
  { name: 'late_polls', unit: 'count', description: 'answers that came after the next chunk was due, or the timeout' },
  { name: 'underruns', unit: 'count', description: 'times a caller had nothing to play (duplex)' },
  { name: 'closed_connections', unit: 'count', description: 'kept connections that the gateway closed' },
  { name: 'lost_samples', unit: 'samples', description: 'sent and never heard (loopback)' },
  { name: 'repeated_samples', unit: 'samples', description: 'heard twice, or never sent (loopback)' },
  { name: 'altered', unit: 'ms', description: 'heard audio that is not what was sent (loopback, echo)' },
  { name: 'wrong_lines', unit: 'count', description: "lines missing, unknown or of another call's (scripted)" },
  { name: 'cpu_per_call', unit: 'percent', description: 'gateway CPU a call, in % of one core' },
  { name: 'memory_per_call', unit: 'megabytes', description: 'gateway memory (RSS) a call' },
  { name: 'eventloop_p99', unit: 'ms', description: "worst second's p99 of the gateway's event-loop delay" },
];

/** One objective: the metric is to be at most `limit`. */
export interface Slo {
  readonly metric: SloMetric;
  /** In the metric's unit. */
  readonly limit: number;
}

/** How an objective was met. `actual` undefined: it was not measured, which counts as missed. */
export interface SloResult {
  readonly name: string;
  readonly unit: SloMetric['unit'];
  readonly limit: number;
  readonly actual: number | undefined;
  readonly met: boolean;
}

/**
 * Reads `uplink_p99=20ms`, `errors=0`, `cpu_per_call=0.65%`, `memory_per_call=800kB`.
 * @throws {RangeError} for an unknown name or a value that is not of the metric's unit
 */
export function parseSlo(text: string): Slo {
  const match = /^([a-z0-9_]+)\s*(?:<=|=)\s*(\S+)$/.exec(text.trim());
  const metric = SLO_METRICS.find(({ name }) => name === match?.[1]);
  if (!match || !metric) {
    throw new RangeError(`"${text}" is not an objective: write name=value with a name from the list in --help`);
  }
  return { metric, limit: parseValue(match[2]!, metric) };
}

function parseValue(text: string, { name, unit }: SloMetric): number {
  switch (unit) {
    case 'ms':
      return /^0(ms|s)?$/.test(text) ? 0 : parseDurationMs(text);
    case 'percent':
      return number(text.replace(/%$/, ''), `${name} is a percentage, such as 0.65%`);
    case 'megabytes': {
      const match = /^(\d+(?:\.\d+)?)(kB|MB)?$/.exec(text);
      return number(match?.[1] ?? '', `${name} is a size, such as 0.8MB`) / (match?.[2] === 'kB' ? 1000 : 1);
    }
    default:
      return number(text, `${name} is a number`);
  }
}

function number(text: string, rule: string): number {
  const value = Number(text);
  if (text === '' || !(value >= 0)) throw new RangeError(`"${text}" does not fit: ${rule}`);
  return value;
}

/** Judges measurements by name. */
export function judge(slos: readonly Slo[], measured: Readonly<Record<string, number | undefined>>): SloResult[] {
  return slos.map(({ metric: { name, unit }, limit }) => {
    const actual = measured[name];
    return { name, unit, limit, actual, met: actual !== undefined && actual <= limit };
  });
}

/** A value with its unit, as people read it. */
export function formatValue(value: number | undefined, unit: SloMetric['unit']): string {
  if (value === undefined) return 'not measured';
  switch (unit) {
    case 'ms':
      return `${round(value)} ms`;
    case 'percent':
      return `${round(value)} %`;
    case 'megabytes':
      return `${round(value)} MB`;
    default:
      return String(Math.round(value));
  }
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
