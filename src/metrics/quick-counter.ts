/**
 * A counter with one label whose values are known, registered like any other metric. For what comes with every chunk:
 * nothing is looked up but the value itself.
 */
export class QuickCounter<Value extends string> {
  readonly name: string;
  readonly help: string;
  readonly type = 'counter';
  readonly aggregator = 'sum';
  readonly #label: string;
  readonly #sums: Record<Value, number>;

  constructor(name: string, help: string, label: string, values: readonly Value[]) {
    this.name = name;
    this.help = help;
    this.#label = label;
    this.#sums = Object.fromEntries(values.map((value) => [value, 0])) as Record<Value, number>;
  }

  /** @param by not negative */
  inc(value: Value, by: number): void {
    this.#sums[value] += by;
  }

  reset(): void {
    for (const value of Object.keys(this.#sums) as Value[]) this.#sums[value] = 0;
  }

  /** The samples as the registry prints them. */
  async get() {
    const values = Object.entries<number>(this.#sums).map(([value, sum]) => ({
      labels: { [this.#label]: value },
      value: sum,
    }));
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }
}
