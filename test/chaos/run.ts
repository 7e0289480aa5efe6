/** `npm run chaos`: every server event of recorded conversations, changed in every way, and what becomes of the calls. */
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { Random } from '../fuzz/random.ts';
import { campaign, type Result } from './campaign.ts';
import { ChaosLab } from './lab.ts';
import { type ChaosCase, caseOf, sampleOf, shuffled } from './matrix.ts';
import { table } from './table.ts';

interface Options {
  case?: ChaosCase[];
  only?: string;
  sample?: number;
  seed: number;
  whole: boolean;
  calls: number;
  innocents: number;
  sessionWorkers: string;
  streamed: boolean;
  list: boolean;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a whole number from 1 up');
  return value;
}

function oneMoreCase(text: string, earlier: ChaosCase[] = []): ChaosCase[] {
  try {
    return [...earlier, caseOf(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const program = new Command('npm run chaos --')
  .description(
    'Plays conversations whose server events are lost, repeated, late or wrong, and looks what becomes of them.',
  )
  .option('--case <id>', 'this case only; may be repeated', oneMoreCase)
  .option('--only <text>', 'cases whose id contains this: a conversation, an event, a field')
  .option('--sample <number>', 'so many cases, chosen by the seed', count)
  .option('--seed <number>', 'of the choice and of the order', count, Date.now() % 1_000_000)
  .option('--whole', 'change the fields of every event, not of the first of those alike', false)
  .option('--calls <number>', 'calls at once', count, 40)
  .option('--innocents <number>', 'undisturbed calls beside them', count, 2)
  .option('--session-workers <number>', "the gateway's SESSION_WORKERS", '2')
  .option('--streamed', 'calls are streamed requests; they are played in real time', false)
  .option('--list', 'print the ids of the cases and play none', false);

function chosenCases(matrix: readonly ChaosCase[], { only, sample, seed }: Options): ChaosCase[] {
  const cases = only === undefined ? matrix : matrix.filter(({ id }) => id.includes(only));
  return sample === undefined ? shuffled(cases, new Random(seed)) : sampleOf(cases, sample, seed);
}

function report(results: readonly Result[], lab: ChaosLab, seconds: number): number {
  const wrong = results.filter(({ violations }) => violations.length > 0);
  const missed = results.filter(({ verdict }) => verdict.struckAtMs === undefined && verdict.violations.length === 0);
  const outcomes = Object.entries(Object.groupBy(results, ({ verdict }) => verdict.outcome));
  process.stdout.write(
    [
      '',
      table(results),
      '',
      `${results.length} cases in ${Math.round(seconds)} s: ${outcomes.map(([name, of]) => `${of.length} ${name}`).join(', ')}`,
      `${lab.innocentCalls} innocent calls beside them, ${lab.harms.length} of them harmed; the daemon died ${lab.deaths.length} times`,
      ...(missed.length > 0 ? [`${missed.length} mutations did not find their event: the call took another way`] : []),
      ...lab.harms.slice(0, 5).map(({ problems }) => `an innocent call: ${problems.join('; ')}`),
      ...lab.complaints.map((line) => `the daemon's log: ${line}`),
      ...wrong.flatMap(({ chaosCase, violations }) => [
        '',
        ...violations.map((violation) => `! ${violation}`),
        `  npm run chaos -- --case '${chaosCase.id}'`,
      ]),
      wrong.length + lab.complaints.length === 0 ? 'no violation' : `\n${wrong.length} cases went wrong`,
      '',
    ].join('\n'),
  );
  return wrong.length + lab.complaints.length;
}

const options = program.parse().opts<Options>();
const { calls, innocents, sessionWorkers, seed, streamed: isStreamed } = options;
const startedAtMs = performance.now();
const lab = await ChaosLab.open({ calls: Math.max(calls, 8), innocents, sessionWorkers, isStreamed });
try {
  const cases = options.case ?? chosenCases(await lab.matrix(options.whole), options);
  if (options.list) {
    process.stdout.write(cases.map(({ id }) => `${id}\n`).join(''));
  } else {
    process.stdout.write(`${cases.length} cases, seed ${seed}\n`);
    const bar = new SingleBar({
      format:
        '{bar} {percentage}% | {value}/{total} | once more: {again} | went wrong: {violations} | {duration_formatted}',
      clearOnComplete: true,
      noTTYOutput: true,
      notTTYSchedule: 30_000,
    });
    bar.start(cases.length, 0, { again: 0, violations: 0 });
    const results = await campaign(lab, cases, calls, (done, again, violations) =>
      bar.update(done, { again, violations }),
    );
    bar.stop();
    process.exitCode = report(results, lab, (performance.now() - startedAtMs) / 1000) === 0 ? 0 : 1;
  }
} finally {
  await lab.close();
}
