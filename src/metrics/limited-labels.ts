const OTHER = 'other';

/** Values of labels that come from configuration and requests: so many of them are told apart, what comes later is `other`. */
export class LimitedLabels {
  readonly #limit: number;
  readonly #known = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns the values, or `other` in the place of each */
  of<Values extends readonly string[]>(...values: Values): { [Index in keyof Values]: string } {
    const key = values.join('\n');
    if (this.#known.size < this.#limit) this.#known.add(key);
    return (this.#known.has(key) ? values : values.map(() => OTHER)) as { [Index in keyof Values]: string };
  }
}
