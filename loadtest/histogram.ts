/** Lower edge of the first bucket; everything below counts as this. In the unit of the values, which is milliseconds. */
const LOWEST = 0.02;
const BUCKETS_PER_OCTAVE = 16;
/** Up to 0.02 ms × 2^24 = 335 s. */
const BUCKETS = 24 * BUCKETS_PER_OCTAVE;

/** A histogram in a form that can be sent to another process: its filled buckets only, as index and count in turns. */
export interface HistogramSnapshot {
  readonly buckets: readonly number[];
  readonly sum: number;
  readonly max: number;
}

/**
 * Counts durations in buckets whose edges rise by 4.4 % (a sixteenth of an octave): of constant size however many values
 * it takes, quantiles right to 2.2 %, the greatest value exact.
 */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** 0 without values. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** @param value in milliseconds; below 0 counts as 0 */
  add(value: number): void {
    this.#counts[bucketOf(value)]! += 1;
    this.#count += 1;
    this.#sum += Math.max(0, value);
    if (value > this.#max) this.#max = value;
  }

  /** The value that a share `q` (0 to 1) of all values does not exceed, by nearest rank; 0 without values. */
  quantile(q: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    if (rank === this.#count) return this.#max;
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(middleOf(bucket), this.#max);
    }
    return this.#max;
  }

  /** How many values are above `limit`, to the precision of a bucket. */
  countAbove(limit: number): number {
    let above = 0;
    for (let bucket = bucketOf(limit) + 1; bucket < BUCKETS; bucket++) above += this.#counts[bucket]!;
    return above;
  }

  merge({ buckets, sum, max }: HistogramSnapshot): void {
    for (let i = 0; i + 1 < buckets.length; i += 2) {
      this.#counts[buckets[i]!]! += buckets[i + 1]!;
      this.#count += buckets[i + 1]!;
    }
    this.#sum += sum;
    if (max > this.#max) this.#max = max;
  }

  /** What was added since the last time; the histogram is empty after it. */
  drain(): HistogramSnapshot {
    const buckets: number[] = [];
    if (this.#count > 0) {
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        const count = this.#counts[bucket]!;
        if (count > 0) buckets.push(bucket, count);
      }
    }
    const snapshot = { buckets, sum: this.#sum, max: this.#max };
    this.#counts.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
    return snapshot;
  }
}

function bucketOf(value: number): number {
  if (!(value > LOWEST)) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(value / LOWEST) * BUCKETS_PER_OCTAVE));
}

/** The geometric middle of a bucket. */
function middleOf(bucket: number): number {
  return LOWEST * 2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE);
}
