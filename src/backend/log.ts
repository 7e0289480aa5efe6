import type { BaseLogger } from 'pino';

/** What this folder needs of a pino logger. */
export type BackendLog = Pick<BaseLogger, 'info' | 'warn' | 'error'>;
