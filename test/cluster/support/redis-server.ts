import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = ['redis-server', 'valkey-server'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
);

/** Whether this machine has a Redis to test with; says so once where it has none. */
export const hasRedis = PROGRAM !== undefined;
if (!hasRedis)
  process.stdout.write('skipped for want of a redis-server: tests of a cluster (apt-get install redis-server)\n');

/** A Redis of one's own, on a free port of loopback, that keeps nothing on the disk. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Kills it; `start` brings back an empty one at the same address. */
  stop(): Promise<void>;
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  close(): Promise<void>;
}

export async function startRedis(args: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'voice-gateway-redis-'));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async () => {
    const server = spawn(
      PROGRAM!,
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder, ...args],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    child = server;
    await new Promise<void>((resolve, reject) => {
      let text = '';
      server.stdout!.on('data', (data) => {
        text += data;
        if (/Ready to accept connections/.test(text)) resolve();
      });
      server.once('exit', () => reject(new Error(`redis-server ended:\n${text}`)));
    });
  };
  const stop = async () => {
    const server = child;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    start,
    stop,
    signal: (name) => void child?.kill(name),
    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
