import { type Logger, pino } from 'pino';

/** Places where a key or a number could end up in a log line by mistake. */
const REDACTED = [
  'apiKey',
  '*.apiKey',
  'authorization',
  '*.authorization',
  'headers.authorization',
  'headers["x-api-key"]',
  'req.headers.authorization',
  'req.headers["x-api-key"]',
  '*.callerNumber',
  'target',
];

/** The daemon's log: JSON lines on standard output. */
export function createLog(level: string): Logger {
  return pino({ level, base: null, redact: { paths: REDACTED, censor: '[redacted]' } });
}
