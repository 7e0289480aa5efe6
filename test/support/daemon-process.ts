import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../src/main/cli.ts', import.meta.url));

/** A daemon in a process of its own, which may be killed. */
export interface DaemonProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** What it printed so far. */
  readonly lines: string[];
  /** Sends a signal and waits until it is gone; the exit code, or null after a kill. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts the daemon from source on a free port with the embedded simulator, unless `env` says otherwise.
 * @param nodeArgs for Node itself, on all of its threads
 */
export async function startDaemonProcess(
  env: Record<string, string>,
  { nodeArgs = [], descriptors }: { readonly nodeArgs?: readonly string[]; readonly descriptors?: number } = {},
): Promise<DaemonProcess> {
  const command = descriptors === undefined ? [] : ['sh', '-c', `ulimit -n ${descriptors}; exec "$0" "$@"`];
  const [file = '', ...args] = [...command, process.execPath, ...nodeArgs, CLI];
  const child = spawn(file, args, {
    env: { PATH: process.env['PATH'] ?? '', PORT: '0', SPARE_SESSION_WORKERS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const lines: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr! }).on('line', (line) => lines.push(line));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      lines.push(line);
      const found = /"url":"([^"]+)".*"msg":"listening/.exec(line)?.[1];
      if (found) resolve(found);
    });
    void exited.then(() => reject(new Error(`the daemon ended:\n${lines.join('\n')}`)));
  });
  return {
    url,
    child,
    lines,
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}
