import { Command } from 'commander';
import { ConfigError } from '../config/check-environment.ts';
import { readConfig } from '../config/config.ts';
import { backUp, forgetCaller } from '../store/upkeep.ts';

/** What an operator does with the store of calls, while a daemon uses it or not. */

const program = new Command('voice-gateway-store').description(
  'Looks after the store of calls in DATA_DIR, while a daemon uses it or not.',
);

program
  .command('backup')
  .argument('<file>', 'where the copy goes; it must not exist')
  .description('copies the store into a file, whole and as of one moment')
  .action((file: string) => {
    const { byteCount, callCount, undeliveredCount } = backUp(dataDirectory(), file);
    const megabytes = (byteCount / 1e6).toFixed(1);
    say(`${file}: ${megabytes} MB, calls: ${callCount}, summaries to be delivered: ${undeliveredCount}`);
  });

program
  .command('forget')
  .requiredOption('--caller <number>', 'as the switch gave it; only its digits count')
  .description('removes everything that is kept of a caller')
  .action(({ caller }: { caller: string }) => {
    const { callCount, recordingCount, undeliveredCount } = forgetCaller(dataDirectory(), caller);
    say(
      `calls forgotten: ${callCount}; recordings removed: ${recordingCount}; summaries that will not be delivered: ${undeliveredCount}`,
    );
  });

function dataDirectory(): string {
  return readConfig().env.DATA_DIR;
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

try {
  program.parse();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
}
