import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const START_TIMEOUT_MS = 30_000;
const KEPT_LINES = 200;

/** A process that was started here and is stopped here. */
export interface StartedProcess {
  readonly name: string;
  readonly pid: number;
  /** What it said its URL is. */
  readonly url: string;
  /** The last lines it printed. */
  readonly lines: readonly string[];
  /** Resolves when it is gone. */
  readonly gone: Promise<void>;
  readonly isGone: boolean;
  /** SIGTERM, and SIGKILL where that does not help within `killAfterMs`. Idempotent. */
  stop(killAfterMs?: number): Promise<void>;
}

export interface StartOptions {
  /** What it is called in error messages. */
  readonly name: string;
  /** Arguments of `node`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Finds the URL in the line of the log that has it. */
  readonly url: RegExp;
  /** Told each line it prints. */
  readonly onLine?: ((line: string) => void) | undefined;
}

const running = new Set<ChildProcess>();

// The last resort: nothing that was started here outlives this process.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts a Node process in a group of its own, so that Ctrl-C reaches only us, and waits for the line with its URL.
 * @throws {Error} with what it printed, when it ends before or says nothing for half a minute
 */
export async function startProcess({
  name,
  args,
  env,
  url: pattern,
  onLine: tell,
}: StartOptions): Promise<StartedProcess> {
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  const lines: string[] = [];
  const { promise: listening, resolve } = Promise.withResolvers<string>();
  const onLine = (line: string) => {
    tell?.(line);
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    const found = pattern.exec(line)?.[1];
    if (found) resolve(found);
  };
  createInterface({ input: child.stdout }).on('line', onLine);
  createInterface({ input: child.stderr }).on('line', onLine);
  let isGone = false;
  const gone = once(child, 'exit')
    .catch(() => {})
    .then(() => {
      isGone = true;
      running.delete(child);
    });
  const failed = (why: string) => new Error(`${name} ${why}:\n${lines.slice(-15).join('\n')}`);
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(failed('does not listen')), START_TIMEOUT_MS);
  try {
    const url = await Promise.race([
      listening,
      timeout.promise,
      gone.then(() => {
        throw failed('ended before it listened');
      }),
    ]);
    return {
      name,
      pid: child.pid!,
      url,
      lines,
      gone,
      get isGone() {
        return isGone;
      },
      stop: (killAfterMs = 20_000) => stop(child, gone, killAfterMs),
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function stop(child: ChildProcess, gone: Promise<void>, killAfterMs: number): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  await gone;
  clearTimeout(timer);
}
