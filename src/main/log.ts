import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';

/** Fields that never belong into a log line, wherever they come from. */
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

const CENSOR = '[redacted]';
/** What is shorter keeps nobody out, and taking it out of every word it is part of would leave lines nobody can read. */
const MIN_SECRET_LENGTH = 6;

export interface LogOptions {
  /** pino's name of the lowest level that is written. */
  readonly level: string;
  /** Keys of this daemon: wherever one turns up in a line, in a message or a stack too, it is taken out. */
  readonly secrets?: readonly (string | undefined)[];
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

/** The daemon's log: JSON lines. */
export function createLog({ level, secrets = [], destination }: LogOptions): Logger {
  const written = secrets
    .filter((secret) => secret !== undefined && secret.length >= MIN_SECRET_LENGTH)
    .map((secret) => JSON.stringify(secret).slice(1, -1));
  const scrub = (line: string) => written.reduce((text, secret) => text.replaceAll(secret, CENSOR), line);
  const options = {
    level,
    base: null,
    // Causes by themselves: messages here say what their cause said already.
    serializers: { err: stdSerializers.errWithCause },
    redact: { paths: REDACTED, censor: CENSOR },
    ...(written.length > 0 ? { hooks: { streamWrite: scrub } } : {}),
  };
  return destination ? pino(options, destination) : pino(options);
}
