import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findDamage } from '../../src/store/database.ts';
import { Store } from '../../src/store/store.ts';
import { Random } from './random.ts';

const SCRIPT = fileURLToPath(new URL('store-killed.ts', import.meta.url));
const LONGEST_LIFE_MS = 250;
const CHECKED_EVERY = 50;

export interface KillResult {
  /** Calls that a process had said to be on the disk before it was killed. */
  readonly durable: number;
  readonly delivered: number;
  readonly posts: number;
  readonly failures: readonly string[];
}

/**
 * Kills a process in the middle of its writes and deliveries, again and again on one directory, while the backend answers
 * as it likes; then lets one finish, and compares what was promised with what the backend and the history have.
 */
export async function killRounds(
  directory: string,
  rounds: number,
  seed: number,
  onRound: (done: number) => void = () => {},
): Promise<KillResult> {
  const random = new Random(seed);
  const failures: string[] = [];
  const durable = new Map<string, string>();
  /** What arrived under each key: a body, the same however often. */
  const bodies = new Map<string, string>();
  const taken = new Set<string>();
  let posts = 0;
  let isKind = false;
  const server = createServer(async (request, response) => {
    // A process that is killed in the middle of a request has sent nothing.
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    posts += 1;
    const key = String(request.headers['idempotency-key']);
    const known = bodies.get(key);
    if (known !== undefined && known !== body) failures.push(`${key} came with two bodies`);
    bodies.set(key, body);
    const whim = isKind ? 1 : random.next();
    if (whim < 0.1) request.socket.destroy();
    else if (whim < 0.2) response.writeHead(503).end();
    else {
      taken.add(key);
      // Taken, and perhaps the answer does not arrive any more.
      if (whim < 0.3) await delay(20);
      response.writeHead(201).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function run(round: string): Promise<void> {
    const child = spawn(process.execPath, [SCRIPT, directory, url, round], { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = text(child.stderr);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      // Its life begins with its first call.
      if (output === '') setTimeout(() => child.kill('SIGKILL'), random.int(0, LONGEST_LIFE_MS));
      output += chunk.toString();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== null && !(code === 0 && round === 'last')) failures.push(`round ${round} ended with code ${code}`);
    const errors = (await said).split('\n').filter((line) => line.startsWith('{'));
    failures.push(...errors.map((line) => `round ${round} said ${line}`));
    for (const [, key, callId] of output.matchAll(/^(\S+) (\S+)\.$/gm)) durable.set(key!, callId!);
  }

  for (let round = 1; round <= rounds; round++) {
    await run(String(round));
    if (round % CHECKED_EVERY === 0) {
      const damage = findDamage(join(directory, 'calls.sqlite'));
      if (damage !== undefined) failures.push(`after round ${round}: ${damage}`);
    }
    onRound(round);
  }
  isKind = true;
  await run('last');
  server.closeAllConnections();
  server.close();

  const keysByCall = new Map<string, string>();
  for (const [key, body] of bodies) {
    const { callId } = JSON.parse(body) as { callId: string };
    if (keysByCall.has(callId)) failures.push(`${callId} came under two keys`);
    keysByCall.set(callId, key);
  }
  for (const [key, callId] of durable) {
    if (!taken.has(key)) failures.push(`${callId} was on the disk, and never arrived`);
  }
  const store = Store.open({ directory, retentionDays: 30, note: ({ message }) => failures.push(message) });
  try {
    if (store.undeliveredIds().length > 0) failures.push('there is something left to deliver');
    for (const [key, callId] of durable) {
      const found = store.find(undefined, callId, 'masked');
      if (found.length !== 1 || found[0]!.sessionId !== key) failures.push(`${callId} is not in the history`);
      else if (found[0]!.summary !== 'delivered') failures.push(`${callId} is ${found[0]!.summary} in the history`);
    }
    const damage = findDamage(store.path);
    if (damage !== undefined) failures.push(`the file is damaged: ${damage}`);
  } finally {
    store.close();
  }
  return { durable: durable.size, delivered: taken.size, posts, failures };
}
