#!/usr/bin/env node
/**
 * Measures what a machine carries: a load test for every combination of settings. Each result is written as soon as it is
 * there, and what is there already is not measured again, so it can be interrupted and started anew.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { checked } from './arguments.ts';
import { type CapacityResult, capacityMarkdown, keyOf, pointsOf, resultOf, withTables } from './capacity-points.ts';
import { defaultJitterMs } from './options.ts';
import { parseCount, parseDurationMs, parseList, parseRampPerSecond, parseWorkers } from './parse.ts';
import type { RequestMode } from './protocol.ts';
import { runLoad } from './run.ts';
import { generatorsFor } from './schedule.ts';
import { buildIfNeeded } from './stack.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const WAV = fileURLToPath(new URL('../fixtures/calls/order-status-16k.wav', import.meta.url));
const CHUNK_MS = 100;
/** Between two points, for what the last one left behind. */
const PAUSE_MS = 3_000;
const INTERRUPTED = 130;

interface CliOptions {
  calls: number[];
  workers: ('dedicated' | number)[];
  modes: RequestMode[];
  keepalive: boolean[];
  upstream: boolean[];
  delta: number[];
  for: number;
  warmUp: number;
  ramp: number;
  quick: boolean;
  redo: boolean;
  list: boolean;
  json: string;
  page: string;
}

/** A list whose parts are words with a meaning each. */
function words<Value>(meanings: Readonly<Record<string, Value>>): (text: string) => Value[] {
  return checked((text) =>
    parseList(text, (word) => {
      if (!Object.hasOwn(meanings, word))
        throw new RangeError(`"${word}" is none of ${Object.keys(meanings).join(', ')}`);
      return meanings[word]!;
    }),
  );
}

const durationMs = checked(parseDurationMs);

const program = new Command('capacity')
  .description('Measures CPU, memory and latency over numbers of calls and settings, and writes tables.')
  .option(
    '--calls <list>',
    'numbers of calls',
    checked((text) => parseList(text, (part) => parseCount(part))),
    [10, 50, 100, 200, 300],
  )
  .option(
    '--workers <list>',
    'SESSION_WORKERS',
    checked((text) => parseList(text, parseWorkers)),
    ['dedicated', 2],
  )
  .option('--modes <list>', 'poll1, longpoll', words({ poll1: 'poll1', longpoll: 'longpoll' }), ['poll1', 'longpoll'])
  .option('--keepalive <list>', 'yes, no', words({ yes: true, no: false }), [true, false])
  .option('--upstream <list>', 'ws, wss', words({ ws: false, wss: true }), [false, true])
  .option(
    '--delta <list>',
    'audio in a delta of the upstream, ms',
    checked((text) => parseList(text, (part) => parseCount(part))),
    [200],
  )
  .option('--for <duration>', 'a point, from when all calls are up', durationMs, 60_000)
  .option('--warm-up <duration>', 'how much of that is left out', durationMs, 10_000)
  .option('--ramp <rate>', 'calls started a second', checked(parseRampPerSecond), 20)
  .option('--quick', 'a look: 10, 50 and 100 calls, poll1, keep-alive, ws, 15 s each', false)
  .option('--redo', 'measure again what is there already', false)
  .option('--list', 'list the points and whether they are there, and measure nothing', false)
  .option('--json <file>', 'where results are kept', resolve(ROOT, 'docs/capacity.json'))
  .option('--page <file>', 'the page whose tables are written', resolve(ROOT, 'docs/capacity.md'));

function readResults(file: string): Map<string, CapacityResult> {
  if (!existsSync(file)) return new Map();
  const results = JSON.parse(readFileSync(file, 'utf8')) as CapacityResult[];
  return new Map(results.map((result) => [keyOf(result.point), result]));
}

/** Writes a file whole or not at all. */
function replaceFile(file: string, text: string): void {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function writeResults({ json, page }: CliOptions, results: ReadonlyMap<string, CapacityResult>): void {
  replaceFile(json, `${JSON.stringify([...results.values()], null, 1)}\n`);
  const text = existsSync(page) ? readFileSync(page, 'utf8') : '# Capacity\n';
  replaceFile(page, withTables(text, capacityMarkdown([...results.values()])));
}

async function main(): Promise<number> {
  const options = program.parse().opts<CliOptions>();
  const cli: CliOptions = options.quick
    ? {
        ...options,
        calls: [10, 50, 100],
        modes: ['poll1'],
        keepalive: [true],
        upstream: [false],
        for: 15_000,
        warmUp: 5_000,
      }
    : options;
  const points = pointsOf({
    calls: cli.calls,
    sessionWorkers: cli.workers,
    modes: cli.modes,
    keepAlive: cli.keepalive,
    tls: cli.upstream,
    deltaMs: cli.delta,
  });
  const results = readResults(cli.json);
  if (cli.list) {
    for (const point of points) {
      const result = results.get(keyOf(point));
      const state = result === undefined ? '' : result.generatorSaturated ? 'saturated' : 'done';
      console.log(`${state.padEnd(9)}  ${keyOf(point)}`);
    }
    return 0;
  }
  const stopped = new AbortController();
  process.on('SIGINT', () => {
    if (stopped.signal.aborted) process.exit(INTERRUPTED);
    stopped.abort();
  });
  process.on('SIGTERM', () => stopped.abort());
  // Once, so that all points are of the same code.
  buildIfNeeded();
  for (const [index, point] of points.entries()) {
    const key = keyOf(point);
    if (results.has(key) && !cli.redo) continue;
    process.stderr.write(`${index + 1}/${points.length}: ${key}\n`);
    const report = await runLoad(
      {
        ...point,
        wavFiles: [WAV],
        chunkMs: CHUNK_MS,
        body: 'json',
        rampPerSecond: cli.ramp,
        durationMs: cli.for,
        warmUpMs: cli.warmUp,
        format: { encoding: 'pcm16', sampleRateHz: 16_000 },
        expectation: 'loopback',
        pollTimeoutMs: 5_000,
        requestTimeoutMs: 10_000,
        duplex: { leadMs: 120, frameMs: 60, tickMs: 40 },
        overlap: 'no',
        acknowledges: true,
        jitterMs: defaultJitterMs(CHUNK_MS, point.mode),
        generators: generatorsFor(point.calls),
        build: false,
        nodeArgs: [],
        slos: [],
      },
      { signal: stopped.signal },
    );
    if (report.isInterrupted) {
      process.stderr.write(stopped.signal.aborted ? 'interrupted; start again to go on\n' : 'the gateway ended\n');
      if (stopped.signal.aborted) return INTERRUPTED;
      return 1;
    }
    const result = resultOf(point, report);
    results.delete(key);
    results.set(key, result);
    writeResults(cli, results);
    process.stderr.write(
      `  ${result.cpuPercentPerCall?.toFixed(2) ?? '?'} % a call, uplink p99 ${result.uplink?.p99.toFixed(1) ?? '?'} ms, ${result.errors} errors${result.generatorSaturated ? ', GENERATOR SATURATED' : ''}\n`,
    );
    await sleep(PAUSE_MS, undefined, { signal: stopped.signal }).catch(() => {});
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
