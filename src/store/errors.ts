/** What is wrong with the disk, or with what was to be put on it. */
export type StoreErrorCode =
  /** Another daemon uses the directory. */
  | 'store_locked'
  /** The directory cannot be what it is configured to be. */
  | 'store_unusable'
  | 'disk_full'
  | 'disk_read_only'
  | 'disk_failed'
  /** The file is no database any more, or not ours. */
  | 'store_corrupt'
  /** The file was moved or removed while it was in use. */
  | 'store_moved'
  /** Somebody else writes to it for longer than we wait. */
  | 'store_busy'
  | 'store_closed'
  /** None of the above: what was to be written is at fault. */
  | 'store_refused';

/** The store cannot do what it was asked to. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** SQLite's primary result codes, https://sqlite.org/rescode.html. */
const SQLITE_CODES: Readonly<Record<number, StoreErrorCode>> = {
  3: 'disk_failed',
  5: 'store_busy',
  6: 'store_busy',
  7: 'disk_failed',
  8: 'disk_read_only',
  10: 'disk_failed',
  11: 'store_corrupt',
  13: 'disk_full',
  14: 'disk_failed',
  15: 'disk_failed',
  22: 'disk_failed',
  23: 'disk_failed',
  26: 'store_corrupt',
};

const SYSTEM_CODES: Readonly<Record<string, StoreErrorCode>> = {
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
  EROFS: 'disk_read_only',
  EIO: 'disk_failed',
  EMFILE: 'disk_failed',
  ENFILE: 'disk_failed',
  ENOMEM: 'disk_failed',
  ESTALE: 'disk_failed',
  ETIMEDOUT: 'disk_failed',
};

/** Says in our words what SQLite or the system said. */
export function toStoreError(error: unknown, what: string): StoreError {
  if (error instanceof StoreError) return error;
  const { errcode, code, message } = error as { errcode?: number; code?: string; message: string };
  const known =
    errcode === undefined
      ? (SYSTEM_CODES[code ?? ''] ?? 'store_unusable')
      : (SQLITE_CODES[errcode & 0xff] ?? 'store_refused');
  return new StoreError(known, `${what}: ${message}`, { cause: error });
}
