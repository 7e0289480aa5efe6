import { pino } from 'pino';

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A real pino logger whose lines can be read and waited for. */
export class MemoryLog {
  readonly lines: LogLine[] = [];
  readonly #waiting = new Set<{ pattern: RegExp; count: number; resolve: (line: LogLine) => void }>();
  readonly logger = pino(
    { base: null },
    {
      write: (text: string) => {
        this.lines.push(JSON.parse(text) as LogLine);
        for (const { pattern, count, resolve } of this.#waiting) {
          const line = this.find(pattern)[count - 1];
          if (line) resolve(line);
        }
      },
    },
  );

  find(pattern: RegExp): LogLine[] {
    return this.lines.filter(({ msg }) => pattern.test(msg));
  }

  /** Everything that was logged, as text. */
  get text(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }

  /** The `count`th line whose message matches, once it is there. */
  async has(pattern: RegExp, count = 1): Promise<LogLine> {
    const line = this.find(pattern)[count - 1];
    if (line) return line;
    const { promise, resolve } = Promise.withResolvers<LogLine>();
    const waiting = { pattern, count, resolve };
    this.#waiting.add(waiting);
    const found = await promise;
    this.#waiting.delete(waiting);
    return found;
  }
}
