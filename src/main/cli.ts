import { setFlagsFromString } from 'node:v8';
import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import { monotonicNowMs } from '../clock.ts';
import { ConfigError } from '../config/check-environment.ts';
import { type Config, readConfig, secretsOf } from '../config/config.ts';
import { secretsInFiles } from '../config/credentials.ts';
import { checkConfig } from './check.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { createLog } from './log.ts';
import { version } from './version.ts';

const program = new Command('voice-gateway')
  .description('Phone calls over plain HTTP, answered by the OpenAI Realtime API. Configured by environment variables.')
  .option(
    '--check',
    'check the configuration, the agent profiles, every file it names and the Realtime server, and exit: 0 when all is well, 2 when not',
  )
  .option('--offline', 'with --check: do not connect to the Realtime server')
  .version(version)
  .parse();

// Collects when the heap has grown by 60 %: with hundreds of calls, long polls above all, most of it would be garbage that
// survived its youth, up to 0.4 MB a call. It costs some percent of the CPU (docs/capacity.md).
setFlagsFromString('--heap-growing-percent=60');

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
    process.exit(2);
  }
}

async function check(config: Config, isOffline: boolean): Promise<number> {
  const { problems, facts, warnings } = await checkConfig(config, isOffline);
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) return 2;
  process.stdout.write(`the configuration is good\n${facts.map((fact) => `  ${fact}\n`).join('')}`);
  return 0;
}

/** Those that ask for an end; the first begins it in order. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const;
/** Those of a process that is broken: it dies of them, with a core where the system keeps one. */
const CRASH_SIGNALS = ['SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP'] as const;
const DEFECTS = ['uncaughtException', 'unhandledRejection'] as const;
/** npm passes on the Ctrl-C that the terminal has sent to everyone already. */
const ECHO_MS = 1_000;

/**
 * Someone who asks a second time does not want to wait for running calls, but their summaries are kept all the same; so
 * they are when something breaks meanwhile. Takes the place of close-with-grace, which would exit.
 */
function stopAtOnceWhenToldAgain(daemon: Daemon): void {
  const firstAtMs = monotonicNowMs();
  let isHastened = false;
  const hasten = () => {
    if (isHastened) return;
    isHastened = true;
    // Whoever asked first hears of a failure.
    daemon.stop(0).catch(() => {});
  };
  const onSignal = (signal: NodeJS.Signals) => {
    if (isHastened || monotonicNowMs() - firstAtMs < ECHO_MS) return;
    log.warn({ signal }, 'told to stop again: running calls end now');
    hasten();
  };
  const onDefect = (err: unknown) => {
    log.fatal({ err }, 'a defect while stopping: running calls end now');
    process.exitCode = 1;
    hasten();
  };
  for (const signal of STOP_SIGNALS) process.removeAllListeners(signal).on(signal, onSignal);
  for (const event of DEFECTS) process.removeAllListeners(event).on(event, onDefect);
}

const config = configOrExit();
const options = program.opts<{ check?: true; offline?: true }>();
if (options.check) process.exit(await check(config, options.offline === true));
const log = createLog({ level: config.env.LOG_LEVEL, secrets: [...secretsOf(config), ...secretsInFiles(config)] });
try {
  const daemon = await startDaemon(config, log);
  const delay = config.env.SHUTDOWN_GRACE_MS + 10_000;
  closeWithGrace({ delay, logger: false, skip: [...CRASH_SIGNALS] }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping because of a defect');
    else log.info({ signal, graceMs: config.env.SHUTDOWN_GRACE_MS }, 'stopping: no new calls');
    stopAtOnceWhenToldAgain(daemon);
    try {
      await daemon.stop(err ? 0 : config.env.SHUTDOWN_GRACE_MS);
    } catch (error) {
      log.fatal({ err: error }, 'could not stop in order');
      throw error;
    }
    if (process.exitCode) throw new Error('there was a defect');
    log.info('stopped');
  });
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
