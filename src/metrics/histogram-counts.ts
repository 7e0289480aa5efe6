/** Observations of a histogram, by bucket. Plain data: it crosses threads. */
export interface HistogramCounts {
  /** Observations in each bucket, not cumulated; the last is for values above every edge. */
  readonly counts: Float64Array;
  readonly sum: number;
}

/** Counts observations where they happen, to be drained and merged elsewhere. */
export class HistogramRecorder {
  #edges: readonly number[];
  #counts: Float64Array;
  #sum = 0;
  #isEmpty = true;

  /** @param edges upper bucket edges, rising */
  constructor(edges: readonly number[]) {
    this.#edges = edges;
    this.#counts = new Float64Array(edges.length + 1);
  }

  observe(value: number): void {
    const edges = this.#edges;
    let bucket = 0;
    while (bucket < edges.length && value > edges[bucket]!) bucket += 1;
    this.#counts[bucket]! += 1;
    this.#sum += value;
    this.#isEmpty = false;
  }

  /** What was observed since the last time; undefined: nothing. */
  drain(): HistogramCounts | undefined {
    if (this.#isEmpty) return undefined;
    const drained = { counts: this.#counts, sum: this.#sum };
    this.#counts = new Float64Array(this.#edges.length + 1);
    this.#sum = 0;
    this.#isEmpty = true;
    return drained;
  }
}
