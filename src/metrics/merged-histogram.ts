import { type HistogramCounts, HistogramRecorder } from './histogram-counts.ts';

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
  /** What was observed on this thread since the last look. */
  readonly #own: HistogramRecorder;
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(name: string, help: string, edges: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#edges = edges;
    this.#own = new HistogramRecorder(edges);
    this.#counts = new Float64Array(edges.length + 1);
  }

  observe(value: number): void {
    this.#own.observe(value);
  }

  merge({ counts, sum }: HistogramCounts): void {
    for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! += counts[i] ?? 0;
    this.#sum += sum;
  }

  reset(): void {
    this.#own.drain();
    this.#counts.fill(0);
    this.#sum = 0;
  }

  /** The samples as the registry prints them: cumulated buckets, sum and count. */
  async get() {
    const own = this.#own.drain();
    if (own) this.merge(own);
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
