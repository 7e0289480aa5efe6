import type { HistogramCounts } from './histogram-counts.ts';

/**
 * A histogram without labels, registered like any other metric. Its observations are counted on other threads and merged
 * here, or come with every chunk: it takes one in a tenth of prom-client's time.
 */
export class MergedHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #edges: readonly number[];
  #counts: Float64Array;
  #sum = 0;

  constructor(name: string, help: string, edges: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#edges = edges;
    this.#counts = new Float64Array(edges.length + 1);
  }

  observe(value: number): void {
    const edges = this.#edges;
    let bucket = 0;
    while (bucket < edges.length && value > edges[bucket]!) bucket += 1;
    this.#counts[bucket]! += 1;
    this.#sum += value;
  }

  merge({ counts, sum }: HistogramCounts): void {
    for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! += counts[i] ?? 0;
    this.#sum += sum;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#sum = 0;
  }

  /** The samples as the registry prints them: cumulated buckets, sum and count. */
  async get() {
    let cumulated = 0;
    const buckets = [...this.#counts].map((count, index) => {
      cumulated += count;
      return { metricName: `${this.name}_bucket`, labels: { le: this.#edges[index] ?? '+Inf' }, value: cumulated };
    });
    return {
      name: this.name,
      help: this.help,
      type: this.type,
      aggregator: this.aggregator,
      values: [
        ...buckets,
        { metricName: `${this.name}_sum`, labels: {}, value: this.#sum },
        { metricName: `${this.name}_count`, labels: {}, value: cumulated },
      ],
    };
  }
}
