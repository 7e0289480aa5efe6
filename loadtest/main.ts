#!/usr/bin/env node
/** `npm run load`: plays recorded calls against a gateway and reports what they heard and what it cost. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { isSampleRateHz, type SampleRateHz } from '../src/audio/sample-rates.ts';
import { defaultFrameMs, LEAD_MS } from '../src/http/duplex-schemas.ts';
import { checked } from './arguments.ts';
import { defaultJitterMs, type LoadOptions } from './options.ts';
import { parseCount, parseDurationMs, parseRampPerSecond, parseWorkers } from './parse.ts';
import { printProfiles } from './profiles.ts';
import { progressDisplay } from './progress.ts';
import type { CallMode, Expectation, Overlap } from './protocol.ts';
import { type LoadReport, reportText } from './report.ts';
import { reportHtml } from './report-html.ts';
import { runLoad } from './run.ts';
import { generatorsFor } from './schedule.ts';
import { formatValue, parseSlo, SLO_METRICS, type Slo } from './slo.ts';

/** Exit codes beside 0. */
const SLO_MISSED = 1;
const USAGE = 2;
const GENERATOR_SATURATED = 3;
const FAILED = 4;
const INTERRUPTED = 130;

const DEFAULT_WAV = fileURLToPath(new URL('../fixtures/calls/order-status-16k.wav', import.meta.url));

interface CliOptions {
  calls: number;
  wav?: string[];
  chunk?: number;
  mode: CallMode;
  lead: number;
  frame?: number;
  tick: number;
  overlap?: true | Exclude<Overlap, 'no'>;
  ack: boolean;
  keepalive: boolean;
  body?: 'json' | 'raw';
  ramp: number;
  for: number;
  warmUp: number;
  callLength?: number;
  url?: string;
  key?: string;
  agent?: string;
  encoding: 'pcm16' | 'pcmu' | 'pcma';
  rate?: SampleRateHz;
  sessionWorkers: 'dedicated' | number;
  audioThreads?: number;
  simMode?: Expectation;
  delta?: number;
  tls: boolean;
  pollTimeout: number;
  timeout: number;
  jitter?: number;
  generators?: number;
  slo?: Slo[];
  json?: string | true;
  html?: string;
  cpuProf?: string;
}

/** Makes a parser's `RangeError` a usage error. */
function sampleRate(text: string): SampleRateHz {
  const rate = Number(text);
  if (!isSampleRateHz(rate)) throw new RangeError(`"${text}" is not 8000, 16000, 24000 or 48000`);
  return rate;
}

/** A thread a session is many profilers: at the usual millisecond they would be most of the load. */
function profilerArgs(folder: string, sessionWorkers: CliOptions['sessionWorkers']): string[] {
  const intervalUs = sessionWorkers === 'dedicated' ? 20_000 : 1_000;
  return ['--cpu-prof', '--cpu-prof-dir', resolve(folder), '--cpu-prof-interval', String(intervalUs)];
}

function sloList(): string {
  const names = new Map<string, string[]>();
  for (const { name, description } of SLO_METRICS) {
    names.set(description, [...(names.get(description) ?? []), name]);
  }
  return [...names].map(([description, of]) => `  ${of.join(', ')}\n      ${description}`).join('\n');
}

const count = checked((text) => parseCount(text));
const durationMs = checked(parseDurationMs);
const slo = checked(parseSlo);

const program = new Command('load')
  .description('Plays recorded calls against a voice gateway, listens to the answers, and reports.')
  .option('--calls <number>', 'calls at the same time', count, 50)
  .option('--wav <file...>', 'recordings to play, in turns (default: a call of the collection)')
  .option('--chunk <ms>', 'audio in one request, or in one write of a streamed call (default: 100; duplex: 20)', count)
  .addOption(
    new Option(
      '--mode <mode>',
      'poll1: answers to chunks carry the reply; longpoll: a poll waits beside them; duplex: one streamed request a call',
    )
      .choices(['poll1', 'longpoll', 'duplex'])
      .default('poll1'),
  )
  .option('--lead <ms>', 'duplex: how far ahead of its playback the answer is sent', count, LEAD_MS.default)
  .option(
    '--frame <ms>',
    'duplex: audio that the gateway sends at a time (default: 60, or half of a short lead)',
    count,
  )
  .option('--tick <ms>', 'duplex: audio that the gateway passes on at a time', count, 40)
  .addOption(
    new Option(
      '--overlap [how]',
      'chunks do not wait for the answers before them: over several connections (the default), or pipelined on one',
    ).choices(['connections', 'pipelined']),
  )
  .option('--no-ack', 'requests do not say up to where answers have arrived')
  .option('--keepalive', 'reuse connections (the default)', true)
  .option('--no-keepalive', 'a connection a request, as mod_curl does it')
  .addOption(
    new Option('--body <kind>', 'json: base64 in JSON; raw: the bytes alone, as in duplex (default: json)').choices([
      'json',
      'raw',
    ]),
  )
  .option('--ramp <rate>', 'calls started a second: 10/s, 30/m', checked(parseRampPerSecond), 10)
  .option('--for <duration>', 'how long, from when all calls are up: 60s, 30m', durationMs, 60_000)
  .option('--warm-up <duration>', 'how much of that is left out of the figures', durationMs, 5_000)
  .option('--call-length <duration>', 'calls end after this long and others take their places', durationMs)
  .option('--url <url>', 'a gateway that runs already (default: one is started, with a simulator behind it)')
  .option('--key <key>', 'its API key')
  .option('--agent <ref>', 'agent profile to ask for')
  .addOption(new Option('--encoding <name>', '').choices(['pcm16', 'pcmu', 'pcma']).default('pcm16'))
  .option('--rate <hz>', 'sample rate of the calls (default: 16000, 8000 for G.711)', checked(sampleRate))
  .option(
    '--session-workers <number>',
    "the started gateway's: dedicated, or a number",
    checked(parseWorkers),
    'dedicated',
  )
  .option('--audio-threads <number>', "the started gateway's", count)
  .addOption(
    new Option(
      '--sim-mode <mode>',
      'what the upstream does, and so what is expected to be heard (default: loopback; none with --url)',
    ).choices(['loopback', 'echo', 'scripted', 'none']),
  )
  .option('--delta <ms>', 'loopback: shortest audio of a delta of the upstream (default: one for each chunk)', count)
  .option('--tls', 'the upstream speaks wss', false)
  .option('--poll-timeout <duration>', 'how long a long poll waits', durationMs, 5_000)
  .option('--timeout <duration>', 'how long an answer may take beyond that', durationMs, 10_000)
  .option('--jitter <ms>', "a caller's jitter buffer (default: from chunk and mode)", count)
  .option('--generators <number>', 'processes that play the calls (default: one for 150 calls)', count)
  .option('--slo <name=value>', 'an objective; may be repeated', (text, all: Slo[] = []) => [...all, slo(text)])
  .option('--json [file]', 'write the report as JSON; without a file: to standard output, and nothing else')
  .option('--html <file>', 'write the report as a page with charts')
  .option('--cpu-prof <folder>', 'profile the started gateway, a file a thread, and list where the time goes')
  .addHelpText(
    'after',
    `
Objectives are "at most": --slo uplink_p99=20ms --slo errors=0 --slo cpu_per_call=0.65%
${sloList()}

Exit codes: 0, ${SLO_MISSED} an objective was missed, ${USAGE} usage, ${GENERATOR_SATURATED} the generator could not keep up (believe nothing),
${FAILED} something could not be started or broke, or no call came up, ${INTERRUPTED} interrupted.`,
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE));

function loadOptions(cli: CliOptions): LoadOptions {
  const expectation = cli.simMode ?? (cli.url === undefined ? 'loopback' : 'none');
  const sampleRateHz = cli.rate ?? (cli.encoding === 'pcm16' ? 16_000 : 8_000);
  if (cli.encoding !== 'pcm16' && sampleRateHz !== 8_000) program.error('error: G.711 calls have --rate 8000');
  if (cli.warmUp >= cli.for) program.error('error: --warm-up is to be shorter than --for');
  if (cli.cpuProf !== undefined && cli.url !== undefined) program.error('error: --cpu-prof needs a gateway of its own');
  const isDuplex = cli.mode === 'duplex';
  if (isDuplex && (cli.overlap !== undefined || cli.body === 'json')) {
    program.error('error: --mode duplex has one request a call: neither --overlap nor --body json');
  }
  if (isDuplex && expectation === 'echo') program.error('error: --mode duplex knows no --sim-mode echo');
  if (cli.overlap !== undefined && !cli.keepalive) program.error('error: --overlap needs connections that are kept');
  const chunkMs = cli.chunk ?? (isDuplex ? 20 : 100);
  return {
    calls: cli.calls,
    wavFiles: (cli.wav ?? [DEFAULT_WAV]).map((file) => resolve(file)),
    chunkMs,
    mode: cli.mode,
    duplex: { leadMs: cli.lead, frameMs: cli.frame ?? defaultFrameMs(cli.lead), tickMs: cli.tick },
    overlap: cli.overlap === true ? 'connections' : (cli.overlap ?? 'no'),
    acknowledges: cli.ack,
    keepAlive: cli.keepalive,
    body: cli.body ?? 'json',
    rampPerSecond: cli.ramp,
    durationMs: cli.for,
    warmUpMs: cli.warmUp,
    callLengthMs: cli.callLength,
    format: { encoding: cli.encoding, sampleRateHz },
    expectation,
    pollTimeoutMs: cli.pollTimeout,
    requestTimeoutMs: cli.timeout,
    jitterMs: cli.jitter ?? defaultJitterMs(chunkMs, cli.mode),
    generators: cli.generators ?? generatorsFor(cli.calls),
    aiAgentRef: cli.agent,
    url: cli.url,
    apiKey: cli.key,
    build: true,
    sessionWorkers: cli.sessionWorkers,
    audioThreads: cli.audioThreads,
    deltaMs: cli.delta ?? 0,
    tls: cli.tls,
    nodeArgs: cli.cpuProf === undefined ? [] : profilerArgs(cli.cpuProf, cli.sessionWorkers),
    slos: cli.slo ?? [],
  };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(file, text);
}

function sloText({ slos }: LoadReport): string {
  return slos
    .map(({ name, unit, limit, actual, met }) => {
      const values = `${formatValue(actual, unit)} (at most ${formatValue(limit, unit)})`;
      return `${met ? 'met   ' : 'MISSED'}  ${name}: ${values}`;
    })
    .join('\n');
}

function exitCodeOf({ generator, isInterrupted, slos, counters }: LoadReport): number {
  if (counters.callsStarted === 0 && !isInterrupted) return FAILED;
  if (generator.generatorSaturated) return GENERATOR_SATURATED;
  if (isInterrupted) return INTERRUPTED;
  return slos.every(({ met }) => met) ? 0 : SLO_MISSED;
}

async function main(): Promise<number> {
  const cli = program.parse().opts<CliOptions>();
  const options = loadOptions(cli);
  const isQuiet = cli.json === true;
  const stopped = new AbortController();
  const onSignal = () => {
    if (stopped.signal.aborted) process.exit(INTERRUPTED);
    process.stderr.write('\nending the calls; once more to stop at once\n');
    stopped.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const progress = progressDisplay();
  const report = await runLoad(options, {
    signal: stopped.signal,
    onStep: (step) => process.stderr.write(`${step}\n`),
    onProgress: progress.show,
  }).finally(progress.end);
  if (!isQuiet) {
    process.stdout.write(`\n${reportText(report)}\n`);
    if (report.slos.length > 0) process.stdout.write(`\n${sloText(report)}\n`);
  }
  const json = `${JSON.stringify(report, null, 2)}\n`;
  if (cli.json === true) process.stdout.write(json);
  else if (cli.json !== undefined) write(cli.json, json);
  if (cli.html !== undefined) write(cli.html, reportHtml(report));
  if (cli.cpuProf !== undefined) printProfiles(cli.cpuProf, process.stderr);
  return exitCodeOf(report);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = FAILED;
}
