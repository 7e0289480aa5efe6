import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../dist/main/cli.js', import.meta.url));
const START_TIMEOUT_MS = 20_000;

/** A daemon in a process of its own. Whoever starts it stops it. */
export interface GatewayProcess {
  readonly url: string;
  /** Lets running calls end and waits until the process is gone. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the compiled daemon on a free port and waits until it listens.
 * @param env what to configure beside the port
 * @throws {Error} with what the daemon printed, when it does not come up
 */
export async function startGatewayProcess(env: Record<string, string> = {}): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [CLI], {
    env: { ...process.env, PORT: '0', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed: string[] = [];
  const exited = once(child, 'exit').then(() => {});
  const url = await Promise.race([
    listeningUrl(child, printed),
    exited.then(() => fail('the gateway ended before it listened', printed)),
    new Promise<never>((_, reject) =>
      setTimeout(
        () => reject(new Error(`the gateway did not listen within ${START_TIMEOUT_MS} ms`)),
        START_TIMEOUT_MS,
      ).unref(),
    ),
  ]).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    url,
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      await exited;
    },
  };
}

function fail(what: string, printed: string[]): never {
  throw new Error(`${what}:\n${printed.slice(-20).join('\n')}`);
}

function listeningUrl(child: ChildProcess, printed: string[]): Promise<string> {
  return new Promise((resolve) => {
    const onLine = (line: string) => {
      if (printed.length < 1_000) printed.push(line);
      const url = /^\{.*"url":"(https?:[^"]+)".*"msg":"listening/.exec(line)?.[1];
      if (url) resolve(url);
    };
    createInterface({ input: child.stdout! }).on('line', onLine);
    createInterface({ input: child.stderr! }).on('line', (line) => printed.push(line));
  });
}
