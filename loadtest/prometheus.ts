/** Samples of one scrape, by their name with labels, as the exposition writes them: `name{label="value"}`. */
export type Scrape = ReadonlyMap<string, number>;

/** Reads the Prometheus text format. Lines that are no samples, and their timestamps, are left out. */
export function parseExposition(text: string): Scrape {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line[0] === '#') continue;
    // Label values may hold blanks, so the value begins behind the closing brace where there is one.
    const brace = line.lastIndexOf('}');
    const end = brace < 0 ? line.indexOf(' ') : brace + 1;
    if (end <= 0) continue;
    const [value] = line.slice(end).trim().split(' ');
    samples.set(line.slice(0, end), toNumber(value ?? ''));
  }
  return samples;
}

function toNumber(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  return Number(text);
}

/** A histogram, or what came into one between two scrapes. */
export interface BucketCounts {
  /** Upper edges in the metric's own unit, rising; the last is +Inf. */
  readonly edges: readonly number[];
  /** Observations in each bucket, not cumulated. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/**
 * What a histogram without labels (or the sum over all of its labels) observed between two scrapes.
 * @param before absent: since the start
 * @returns undefined when the later scrape does not have it
 */
export function histogramDelta(name: string, after: Scrape, before?: Scrape): BucketCounts | undefined {
  const totals = new Map<number, number>();
  for (const [key, value] of after) {
    if (!key.startsWith(`${name}_bucket`)) continue;
    const edge = /[{,]le="([^"]+)"/.exec(key)?.[1];
    if (edge === undefined) continue;
    const le = toNumber(edge);
    totals.set(le, (totals.get(le) ?? 0) + value - (before?.get(key) ?? 0));
  }
  if (totals.size === 0) return undefined;
  const edges = [...totals.keys()].sort((a, b) => a - b);
  const counts = edges.map((edge, i) => totals.get(edge)! - (i === 0 ? 0 : totals.get(edges[i - 1]!)!));
  return { edges, counts, sum: sumOf(`${name}_sum`, after) - (before ? sumOf(`${name}_sum`, before) : 0) };
}

/** The sum of a metric over all of its labels; 0 when there is none. */
export function sumOf(name: string, scrape: Scrape): number {
  let sum = 0;
  for (const [key, value] of scrape) if (key === name || key.startsWith(`${name}{`)) sum += value;
  return sum;
}

/**
 * The value that a share `q` of the observations does not exceed, interpolated within its bucket as Prometheus's
 * `histogram_quantile` does. What lies above the last edge counts as that edge.
 * @returns undefined without observations
 */
export function bucketQuantile({ edges, counts }: BucketCounts, q: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const rank = q * total;
  let seen = 0;
  for (let i = 0; i < edges.length; i++) {
    const inBucket = counts[i]!;
    if (seen + inBucket >= rank && inBucket > 0) {
      const lower = i === 0 ? 0 : edges[i - 1]!;
      const upper = edges[i]!;
      return Number.isFinite(upper) ? lower + ((upper - lower) * (rank - seen)) / inBucket : lower;
    }
    seen += inBucket;
  }
  return edges.findLast((edge) => Number.isFinite(edge));
}
