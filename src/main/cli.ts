import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import { type Config, ConfigError, readConfig } from './config.ts';
import { startDaemon } from './daemon.ts';
import { createLog } from './log.ts';
import { version } from './version.ts';

const program = new Command('voice-gateway')
  .description('Phone calls over plain HTTP, answered by the OpenAI Realtime API. Configured by environment variables.')
  .version(version)
  .parse();

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
    process.exit(2);
  }
}

const config = configOrExit();
const log = createLog(config.env.LOG_LEVEL);
try {
  const daemon = await startDaemon(config, log);
  closeWithGrace({ delay: config.env.SHUTDOWN_GRACE_MS + 10_000, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping because of a defect');
    else log.info({ signal, graceMs: config.env.SHUTDOWN_GRACE_MS }, 'stopping: no new calls');
    await daemon.stop(err ? 0 : config.env.SHUTDOWN_GRACE_MS);
    log.info('stopped');
  });
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
void program;
