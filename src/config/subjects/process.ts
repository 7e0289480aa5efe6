import { Type } from 'typebox';
import { ms, subject } from '../subject.ts';

/** How the process speaks and stops. */
export const process = subject({
  title: 'Log and stop',
  variables: {
    LOG_LEVEL: Type.Union(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'pino level' },
    ),
    SHUTDOWN_GRACE_MS: ms(30_000, 'how long running calls may go on after SIGTERM; a second one ends them', 0),
  },
});
