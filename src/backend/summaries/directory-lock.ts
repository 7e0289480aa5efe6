import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';

/** A lock is touched this often. */
const HEARTBEAT_MS = 15_000;
/** A lock whose holder cannot be asked (another machine or container) is stale when untouched for this long. */
const STALE_AFTER_MS = 60_000;
const MAX_ATTEMPTS = 5;

/** Another daemon uses the directory. */
export class DirectoryLockedError extends Error {
  readonly code = 'directory_locked';
  constructor(path: string, holder: string) {
    super(
      `DATA_DIR is used by another daemon (${holder}): two cannot share one. Stop it, set another DATA_DIR, or remove ${path} if it is certain that none runs`,
    );
    this.name = 'DirectoryLockedError';
  }
}

interface Holder {
  readonly pid: number;
  /** When the process started, as the system tells it; a pid alone may be another process by now. */
  readonly processStart: string | undefined;
  readonly host: string;
  /** Changes when the machine starts anew. */
  readonly boot: string | undefined;
  readonly token: string;
}

/** Locks this process holds: its own pid in a lock file says nothing where processes cannot be told apart otherwise. */
const heldTokens = new Set<string>();

/**
 * A lock file that keeps a directory to one process. A lock left by a process that died is taken over: on the same
 * machine that is known from the process, elsewhere from the file not having been touched for a minute.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #token: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
    this.#timer = setInterval(() => {
      const now = new Date();
      // A lock that cannot be touched is still a lock to everyone on this machine.
      utimes(path, now, now).catch(() => {});
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }

  /**
   * @param path of the lock file, in an existing directory
   * @throws {DirectoryLockedError} when another daemon holds it
   */
  static async acquire(path: string): Promise<DirectoryLock> {
    const holder: Holder = {
      pid: process.pid,
      processStart: processStart(process.pid),
      host: hostname(),
      boot: bootId(),
      token: randomUUID(),
    };
    const content = JSON.stringify(holder);
    heldTokens.add(holder.token);
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        try {
          await createFile(path, content);
          return new DirectoryLock(path, holder.token);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        await removeStale(path);
      }
      throw new DirectoryLockedError(path, 'which is just starting');
    } catch (error) {
      heldTokens.delete(holder.token);
      throw error;
    }
  }

  /** Gives the directory free. Repeated calls do nothing. */
  async release(): Promise<void> {
    if (!heldTokens.delete(this.#token)) return;
    clearInterval(this.#timer);
    const content = await readFile(this.#path, 'utf8').catch(() => '');
    if (parseHolder(content)?.token === this.#token) await unlink(this.#path).catch(() => {});
  }
}

/** Creates a file and leaves none behind when it cannot be written, as on a full disk: nobody could tell whose it is. */
async function createFile(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

/** @throws {DirectoryLockedError} when the lock is not stale */
async function removeStale(path: string): Promise<void> {
  let content: string;
  let touchedAtMs: number;
  try {
    content = await readFile(path, 'utf8');
    touchedAtMs = (await stat(path)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const holder = parseHolder(content);
  if (isAlive(holder, touchedAtMs)) throw new DirectoryLockedError(path, describe(holder));
  // Two may find the same lock stale: who moves it away checks that it is still the one that was looked at, so that
  // the slower of the two does not remove the other's new lock.
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readFile(aside, 'utf8');
  if (moved !== content) {
    await rename(aside, path);
    throw new DirectoryLockedError(path, describe(parseHolder(moved)));
  }
  await unlink(aside);
}

function parseHolder(content: string): Holder | undefined {
  try {
    const holder = JSON.parse(content) as Holder;
    return Number.isInteger(holder.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder | undefined, touchedAtMs: number): boolean {
  // Not written yet, or not a lock of ours: its age is all there is to go by.
  if (!holder || holder.host !== hostname()) return Date.now() - touchedAtMs < STALE_AFTER_MS;
  if (holder.boot !== bootId()) return false;
  if (holder.pid === process.pid && !heldTokens.has(holder.token)) return false;
  return isRunning(holder.pid) && processStart(holder.pid) === holder.processStart;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function describe(holder: Holder | undefined): string {
  return holder ? `process ${holder.pid} on ${holder.host}` : 'unknown';
}

/** Clock ticks from the machine's start to that of a process that has not ended, on Linux; undefined elsewhere. */
function processStart(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses and may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields?.[0];
  return state === 'Z' || state === 'X' ? 'ended' : fields?.[19];
}

function bootId(): string | undefined {
  return readText('/proc/sys/kernel/random/boot_id')?.trim();
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
