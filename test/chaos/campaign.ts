import type { ChaosLab, Verdict } from './lab.ts';
import type { ChaosCase } from './matrix.ts';

/** A daemon that dies of an event dies soon after it. */
const DEATH_DELAY_MS = 2_000;
/** Calls at once while doubtful cases are played again: few enough that the machine is no reason to be late. */
const CALLS_IN_DOUBT = 10;

/** Where cases are played. */
export type Playground = Pick<ChaosLab, 'run' | 'deaths' | 'harms' | 'innocentsAreThrough'>;

/** What came of one case. */
export interface Result {
  readonly chaosCase: ChaosCase;
  readonly verdict: Verdict;
  /** What is wrong; empty: nothing. */
  readonly violations: readonly string[];
}

/** Told after each case that is done with. `again` are to be played once more. */
export type Progress = (done: number, again: number, violations: number) => void;

/**
 * Plays cases side by side. Cases that something went wrong in, or whose neighbours may be to blame, are played again:
 * those in whose presence the daemon died or an innocent call was harmed alone, the others a few at a time. What goes
 * wrong again is theirs.
 */
export async function campaign(
  lab: Playground,
  cases: readonly ChaosCase[],
  calls: number,
  progress: Progress = () => {},
): Promise<Result[]> {
  const results = new Map<ChaosCase, Result>();
  const suspects: ChaosCase[] = [];
  const doubtful: ChaosCase[] = [];
  let violations = 0;
  const settle = (chaosCase: ChaosCase, verdict: Verdict, found: readonly string[]) => {
    results.set(chaosCase, { chaosCase, verdict, violations: found });
    if (found.length > 0) violations += 1;
    progress(results.size, doubtful.length + suspects.length, violations);
  };
  await sideBySide(cases, calls, async (chaosCase) => {
    const verdict = await lab.run(chaosCase);
    if (mayHaveKilled(lab, verdict)) suspects.push(chaosCase);
    else if (verdict.violations.length > 0) doubtful.push(chaosCase);
    else settle(chaosCase, verdict, []);
  });
  await lab.innocentsAreThrough();
  for (const { chaosCase, verdict } of results.values()) {
    if (harmsDuring(lab, verdict).length > 0) suspects.push(chaosCase);
  }
  await sideBySide(doubtful, CALLS_IN_DOUBT, async (chaosCase) => {
    const verdict = await lab.run(chaosCase);
    if (diedDuring(lab, verdict)) suspects.push(chaosCase);
    else settle(chaosCase, verdict, verdict.violations);
  });
  await sideBySide(suspects, 1, async (chaosCase) => {
    const verdict = await lab.run(chaosCase);
    await lab.innocentsAreThrough();
    const died = lab.deaths.filter((death) => isDuring(death.atMs, verdict));
    const harms = harmsDuring(lab, verdict);
    settle(chaosCase, verdict, [
      ...died.map(({ lastWords }) => `the daemon died: ${shortened(lastWords)}`),
      ...harms.map(({ problems }) => `an innocent call: ${problems.join('; ')}`),
      ...(died.length > 0 ? [] : verdict.violations),
    ]);
  });
  return cases.map((chaosCase) => results.get(chaosCase)!);
}

/** Runs `task` for all items, so many at a time. */
async function sideBySide<Item>(
  items: readonly Item[],
  count: number,
  task: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const lane = async () => {
    for (const item of queue) await task(item);
  };
  await Promise.all(Array.from({ length: count }, lane));
}

function isDuring(atMs: number, { startedAtMs, endedAtMs }: Verdict): boolean {
  return atMs >= startedAtMs && atMs <= endedAtMs + DEATH_DELAY_MS;
}

function diedDuring({ deaths }: Playground, verdict: Verdict): boolean {
  return deaths.some(({ atMs }) => isDuring(atMs, verdict));
}

/** Whether the daemon died within a moment of this case's mutation. */
function mayHaveKilled({ deaths }: Playground, { struckAtMs = Number.POSITIVE_INFINITY }: Verdict): boolean {
  return deaths.some(({ atMs }) => atMs >= struckAtMs && atMs <= struckAtMs + DEATH_DELAY_MS);
}

function harmsDuring({ harms }: Playground, { startedAtMs, endedAtMs }: Verdict) {
  return harms.filter(({ fromMs, toMs }) => fromMs <= endedAtMs && toMs >= startedAtMs);
}

/** The lines of a stack that tell where. */
function shortened(lastWords: string): string {
  const lines = lastWords.split('\n').map((line) => line.trim());
  const at = lines.findIndex((line) => /Error\b.*:/.test(line));
  return lines.slice(Math.max(0, at), Math.max(0, at) + 4).join(' | ');
}
