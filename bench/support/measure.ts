/** What one round of a contender took, a time it does once. Microseconds. */
export interface Cost {
  /** Elapsed. */
  readonly wallUs: number;
  /** CPU of the whole process, every thread of it; undefined: another process does the work. */
  readonly cpuUs?: number | undefined;
  /** CPU of the main thread. */
  readonly threadUs?: number | undefined;
}

/** Something to be measured against others. */
export interface Contender {
  readonly name: string;
  /** Does its work `count` times. */
  run(count: number): Promise<void> | void;
}

export interface Rounds {
  /** Times a round does it. */
  readonly count: number;
  readonly rounds?: number;
  /** Rounds before those that count, for the code to be optimised. */
  readonly warmUp?: number;
}

/**
 * Measures contenders in turns, a round of each, so that whatever else the machine does meets them all alike; the median
 * of the rounds stands for each.
 */
export async function compare(
  contenders: readonly Contender[],
  { count, rounds = 15, warmUp = 4 }: Rounds,
): Promise<Map<string, Cost>> {
  const measured = contenders.map((): Cost[] => []);
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const cost = await measure(contender, count);
      if (round >= warmUp) measured[i]!.push(cost);
    }
  }
  return new Map(contenders.map(({ name }, i) => [name, medianCost(measured[i]!)]));
}

async function measure({ run }: Contender, count: number): Promise<Cost> {
  const cpu = process.cpuUsage();
  const thread = process.threadCpuUsage();
  const startedAt = performance.now();
  const running = run(count);
  // A contender that does not wait for anything is not made to.
  if (running) await running;
  const wallUs = (performance.now() - startedAt) * 1000;
  const cpuSpent = process.cpuUsage(cpu);
  const threadSpent = process.threadCpuUsage(thread);
  return {
    wallUs: wallUs / count,
    cpuUs: (cpuSpent.user + cpuSpent.system) / count,
    threadUs: (threadSpent.user + threadSpent.system) / count,
  };
}

/** Medians of each part. */
export function medianCost(costs: readonly Cost[]): Cost {
  const of = (part: keyof Cost) => {
    const values = costs.map((cost) => cost[part]).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  return { wallUs: of('wallUs') ?? 0, cpuUs: of('cpuUs'), threadUs: of('threadUs') };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A Markdown table, numbers to the right from the second column on. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

/** Microseconds with as many digits as mean something. */
export function us(value: number | undefined): string {
  if (value === undefined) return '';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function times(value: number): string {
  return `${value.toFixed(2)}×`;
}
