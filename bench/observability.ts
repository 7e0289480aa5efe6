/**
 * What metrics and logging cost: two gateways, one that measures, is scraped every 15 s and logs at `info`, and one that
 * does neither, carry the same calls in turns (on, off, off, on), and their CPU time is compared, so that whatever else
 * the machine does falls on both. Each round has new processes: no two are compiled quite alike.
 *
 *     npx node bench/observability.ts --calls 50 --rounds 4
 *
 * A round takes three and a half minutes, four of them 14 minutes.
 */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { noteCosts } from './support/note-costs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Both gateways take it. On loopback /metrics asks for none. */
const KEY = randomUUID();
const SCRAPE_MS = 15_000;
/** Exit codes of the load tester. */
const SLO_MISSED = 1;
const GENERATOR_SATURATED = 3;
/** Until all calls are up and the code is warm. */
const WARM_UP_MS = 6_000;
const RAMP_PER_SECOND = 50;
/** Whoever was idle longer is dearer at first: each is first once. */
const ORDER = ['on', 'off', 'off', 'on'] as const;
/** What new processes carry unmeasured. */
const WARM_UP_SECONDS = 8;
/** After the calls are over, for the load tester to write its report; then it is taken to hang. */
const REPORT_MS = 60_000;
const STARTS_WITHIN_MS = 30_000;

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a whole number above 0');
  return value;
}

const program = new Command('observability')
  .description('What metrics and logging cost, in CPU time.')
  .option('--calls <number>', 'calls at once', atLeastOne, 50)
  .option('--rounds <number>', 'measured rounds; 0: only what single notes cost', Number, 4)
  .option('--seconds <number>', 'measured at a time, four times a round', atLeastOne, 30)
  .option('--session-workers <mode>', 'dedicated, or a number', '2')
  .parse();
const options = program.opts<{ calls: number; rounds: number; seconds: number; sessionWorkers: string }>();

/** What is left to be undone, the last first. */
const closers: (() => unknown)[] = [];

async function closeAll(): Promise<void> {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
}

/** A gateway in a process of its own. */
class Gateway {
  readonly #child: ChildProcess;
  url = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(dist: string, mode: 'on' | 'off', env: Record<string, string>): Promise<Gateway> {
    const child = fork(fileURLToPath(new URL('support/observed-gateway.ts', import.meta.url)), [dist, mode], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const gateway = new Gateway(child);
    closers.push(() => gateway.stop());
    const [{ url }] = (await orEnd(child, once(child, 'message'), STARTS_WITHIN_MS)) as [{ url: string }];
    gateway.url = url;
    return gateway;
  }

  /** CPU time of all its threads so far, in seconds. */
  async cpuSeconds(): Promise<number> {
    this.#child.send('cpu');
    const answer = await orEnd(this.#child, once(this.#child, 'message'), STARTS_WITHIN_MS);
    const [{ cpuMicros }] = answer as [{ cpuMicros: number }];
    return cpuMicros / 1e6;
  }

  /** @throws {Error} when other than `calls` calls are going on */
  async expectCalls(calls: number): Promise<void> {
    const answer = await fetch(`${this.url}/api/voice/sessions?limit=1`, { headers: { 'x-api-key': KEY } });
    const { count } = (await answer.json()) as { count: number };
    if (count !== calls) throw new Error(`${count} of ${calls} calls were up: this round says nothing`);
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return stopped(this.#child, () => this.#child.connected && this.#child.disconnect());
  }
}

/** What a process was asked for. @throws {Error} when it ends or is silent for `withinMs` instead */
async function orEnd<Answer>(child: ChildProcess, answer: Promise<Answer>, withinMs: number): Promise<Answer> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    return await Promise.race([
      answer,
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`a process ended with code ${code}`);
      }),
      sleep(withinMs, undefined, { signal }).then(() => {
        throw new Error(`a process did not answer within ${withinMs} ms`);
      }),
    ]);
  } finally {
    settled.abort();
  }
}

/** Ends a process, by force if it does not end when asked to. */
async function stopped(child: ChildProcess, ask: () => unknown): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  ask();
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await exited;
  clearTimeout(timer);
}

interface Measured {
  readonly cpuSeconds: number;
  /** The load tester could not keep its pace: something else kept the processors busy. */
  readonly isLate: boolean;
}

/**
 * What `gateway` takes for the calls while they are all up.
 * @throws {Error} when they are not
 */
async function measure(gateway: Gateway, isScraped: boolean, seconds = options.seconds): Promise<Measured> {
  const { calls } = options;
  const rampMs = (calls / RAMP_PER_SECOND) * 1000;
  const lengthMs = WARM_UP_MS + seconds * 1000 + 2_000;
  const load = spawn(
    process.execPath,
    [
      join(root, 'loadtest/main.ts'),
      ...['--url', gateway.url, '--key', KEY, '--calls', String(calls), '--ramp', `${RAMP_PER_SECOND}/s`],
      ...['--for', `${lengthMs}ms`, '--warm-up', '1s', '--sim-mode', 'loopback', '--json'],
    ],
    { stdio: 'ignore' },
  );
  const stopLoad = () => stopped(load, () => load.kill());
  closers.push(stopLoad);
  const finished = once(load, 'exit');
  await sleep(rampMs + WARM_UP_MS);
  await gateway.expectCalls(calls);
  const before = await gateway.cpuSeconds();
  const endsAtMs = performance.now() + seconds * 1000;
  while (performance.now() < endsAtMs) {
    if (isScraped) await fetch(`${gateway.url}/metrics`).then((answer) => answer.text());
    await sleep(Math.min(SCRAPE_MS, Math.max(1, endsAtMs - performance.now())));
  }
  const cpuSeconds = (await gateway.cpuSeconds()) - before;
  await gateway.expectCalls(calls);
  const timer = setTimeout(stopLoad, rampMs + lengthMs + REPORT_MS);
  const [code] = (await finished) as [number | null];
  clearTimeout(timer);
  closers.splice(closers.indexOf(stopLoad), 1);
  // That an objective was missed is not the question here.
  if (code !== 0 && code !== SLO_MISSED && code !== GENERATOR_SATURATED) {
    throw new Error(`the load tester ended with code ${code}: this round says nothing`);
  }
  return { cpuSeconds, isLate: code === GENERATOR_SATURATED };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

let sum = 0;
process.stdout.write('what one note costs, and how often there is one on a call:\n');
for (const { what, micros, perCallSecond } of noteCosts()) {
  sum += micros * perCallSecond;
  process.stdout.write(`  ${what.padEnd(26)} ${micros.toFixed(2).padStart(6)} µs × ${perCallSecond} a second\n`);
}
process.stdout.write(`  together ${(sum / 1e4).toFixed(4)} % of a core a call\n`);
if (options.rounds === 0) process.exit(0);

const folder = mkdtempSync(join(tmpdir(), 'bench-observability-'));
closers.push(() => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void closeAll().finally(() => process.exit(130)));
}
try {
  spawnSync(process.execPath, [join(root, 'scripts/build.ts'), '--if-needed'], { cwd: root, stdio: 'inherit' });
  // A build made meanwhile must not change what is measured.
  for (const part of ['dist', 'fixtures', 'agents', 'package.json']) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const simulator = spawn(
    process.execPath,
    [join(folder, 'dist/simulator/cli.js'), '--port', '0', '--mode', 'loopback'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  closers.push(() => stopped(simulator, () => simulator.kill()));
  let printed = '';
  let upstream: string | undefined;
  while (upstream === undefined) {
    const [chunk] = (await orEnd(simulator, once(simulator.stdout!, 'data'), STARTS_WITHIN_MS)) as [Buffer];
    printed += chunk;
    upstream = /"url":"(wss?:[^"]+)".*listening/.exec(printed)?.[1];
  }
  simulator.stdout!.resume();
  const env = {
    PORT: '0',
    W3_VOICE_GATEWAY_API_KEY: KEY,
    OPENAI_API_KEY: 'simulator',
    OPENAI_REALTIME_URL: upstream,
    SESSION_WORKERS: options.sessionWorkers,
    AGENTS_DIR: join(folder, 'agents'),
    // Cold gateways are to take their calls too.
    OVERLOAD_EVENT_LOOP_MS: '60000',
  };
  const start = async (mode: 'on' | 'off') => {
    const gateway = await Gateway.start(join(folder, 'dist'), mode, { ...env, DATA_DIR: join(folder, `data-${mode}`) });
    await measure(gateway, false, WARM_UP_SECONDS);
    return gateway;
  };
  let gateways: Record<'on' | 'off', Gateway> | undefined;
  const perCall = (cpuSeconds: number) => (100 * cpuSeconds) / 2 / options.seconds / options.calls;
  const ratios: number[] = [];
  const lateRatios: number[] = [];
  process.stdout.write(
    `${options.calls} calls, SESSION_WORKERS=${options.sessionWorkers}, ${options.seconds} s each\n`,
  );
  for (let round = 1; round <= options.rounds; round++) {
    try {
      await Promise.all(Object.values(gateways ?? {}).map((gateway) => gateway.stop()));
      gateways = { on: await start('on'), off: await start('off') };
      const used = { on: 0, off: 0 };
      let isLate = false;
      for (const mode of ORDER) {
        const measured = await measure(gateways[mode], mode === 'on');
        used[mode] += measured.cpuSeconds;
        isLate ||= measured.isLate;
      }
      const ratio = used.on / used.off - 1;
      (isLate ? lateRatios : ratios).push(ratio);
      process.stdout.write(
        `round ${round}: on ${perCall(used.on).toFixed(3)} %, off ${perCall(used.off).toFixed(3)} % of a core a call, ${percent(ratio)} % more${isLate ? ' (the load tester was late)' : ''}\n`,
      );
    } catch (error) {
      process.stdout.write(`round ${round}: ${(error as Error).message}\n`);
    }
  }
  const counted = ratios.length > 0 ? ratios : lateRatios;
  if (counted.length === 0) throw new Error('no round could be measured: the machine is too busy');
  if (ratios.length === 0) process.stdout.write('something else kept the processors busy: no figure to rely on\n');
  process.stdout.write(
    `metrics and logging cost ${percent(median(counted))} % of the gateway's CPU (median of ${counted.length} rounds, from ${percent(Math.min(...counted))} to ${percent(Math.max(...counted))})\n`,
  );
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await closeAll();
}
