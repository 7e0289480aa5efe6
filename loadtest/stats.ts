import { LatencyHistogram } from './histogram.ts';
import { type Counter, type GeneratorReport, TIMINGS, type Timing } from './protocol.ts';

/** Sentences kept a second: the first ones tell what is wrong, the rest repeat them. */
const MAX_NOTES = 5;

/** Gathers what the calls of a process measure, and hands it out second by second. */
export class Stats {
  activeCalls = 0;
  readonly #timings = Object.fromEntries(TIMINGS.map((timing) => [timing, new LatencyHistogram()])) as Record<
    Timing,
    LatencyHistogram
  >;
  #counters: Partial<Record<Counter, number>> = {};
  #errors: Record<string, number> = {};
  #notes: string[] = [];

  time(timing: Timing, ms: number): void {
    this.#timings[timing].add(ms);
  }

  count(counter: Counter, by = 1): void {
    if (by !== 0) this.#counters[counter] = (this.#counters[counter] ?? 0) + by;
  }

  error(code: string): void {
    this.#errors[code] = (this.#errors[code] ?? 0) + 1;
  }

  note(text: string): void {
    if (this.#notes.length < MAX_NOTES) this.#notes.push(text);
  }

  /** What was gathered since the last time. */
  drain(second: number): GeneratorReport {
    const timings: GeneratorReport['timings'] = Object.fromEntries(
      TIMINGS.filter((timing) => this.#timings[timing].count > 0).map((timing) => [
        timing,
        this.#timings[timing].drain(),
      ]),
    );
    const { user, system } = process.cpuUsage();
    const report: GeneratorReport = {
      second,
      activeCalls: this.activeCalls,
      timings,
      counters: this.#counters,
      errors: this.#errors,
      notes: this.#notes,
      cpuSeconds: (user + system) / 1e6,
      rssBytes: process.memoryUsage.rss(),
    };
    this.#counters = {};
    this.#errors = {};
    this.#notes = [];
    return report;
  }
}
