#!/usr/bin/env node
/** `npm run simulator`: the simulator as a process of its own. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { monotonicNowMs } from '../clock.ts';
import { FIELD_CHANGES } from './event-mutations.ts';
import { FAULT_NAMES, faultsFromQuery, type QueriedFaults } from './faults.ts';
import { SIMULATOR_DIALECTS } from './options.ts';
import { RealtimeSimulator, type SimulatorDialect, type SimulatorMode, type SimulatorOptions } from './server.ts';

interface CliOptions {
  host: string;
  port: number;
  mode: SimulatorMode;
  dialect: SimulatorDialect;
  speedup: number;
  delta: number;
  responseDelay: number;
  transcriptionDelay: number;
  sessionDuration: number;
  fixtures?: string;
  apiKey?: string[];
  auth: boolean;
  tlsCert?: string;
  tlsKey?: string;
  fault?: QueriedFaults;
  logSpeech: boolean;
  logLevel: string;
}

/** A number from 0 up; `Infinity` is one. */
function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value) || value < 0) throw new InvalidArgumentError('not a number from 0 up');
  return value;
}

function positive(text: string): number {
  const value = nonNegative(text);
  if (value === 0) throw new InvalidArgumentError('not a number above 0');
  return value;
}

function portNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new InvalidArgumentError('not a port number');
  return value;
}

/** The query's notation: `drop_mid_reply&fault_after_ms=300`. */
function faultQuery(text: string): QueriedFaults | undefined {
  try {
    return faultsFromQuery(new URLSearchParams(`fault=${text}`));
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

const program = new Command('simulator')
  .description('A server of the OpenAI Realtime API that answers with recorded speech.')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--port <number>', 'port to listen on; 0 takes a free one', portNumber, 8090)
  .addOption(
    new Option('--mode <mode>', 'what to answer with').choices(['scripted', 'echo', 'loopback']).default('scripted'),
  )
  .addOption(
    new Option('--dialect <name>', 'how the server differs from the service itself')
      .choices([...SIMULATOR_DIALECTS])
      .default('ga'),
  )
  .option('--speedup <factor>', 'replies are generated this much faster than they are spoken', positive, 6)
  .option('--delta <ms>', 'loopback: shortest audio of a delta; 0: one for each chunk', nonNegative, 0)
  .option('--response-delay <ms>', 'thinking time of a response', nonNegative, 150)
  .option('--transcription-delay <ms>', 'between the end of a turn and its transcript', nonNegative, 250)
  .option('--session-duration <ms>', 'how long a session lasts', nonNegative, 3_600_000)
  .option('--fixtures <folder>', 'recordings and script to answer with (default: those that ship)')
  .option('--api-key <key>', 'accept this bearer token only; may be repeated (default: any)', collect)
  .option('--no-auth', 'accept clients without a bearer token')
  .option('--tls-cert <file>', 'PEM certificate; serves wss, with --tls-key')
  .option('--tls-key <file>', 'PEM key')
  .option(
    '--fault <query>',
    "a fault of every connection, or of the first N with fault_count=N: 'drop_mid_reply&fault_after_ms=300'",
    faultQuery,
  )
  .option('--log-speech', "log when a caller begins to speak, with the time on the machine's monotonic clock", false)
  .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent', 'info')
  .addHelpText(
    'after',
    `
Faults, also in a client's URL as ?fault=NAME: ${FAULT_NAMES.join(', ')}

mutate_event changes one event: the fault_nth (default 1) of type fault_event (default: of any type). fault_change is
drop (the default), double, delay (past the next fault_events, default 3, or by fault_delay_ms), or, of the field
fault_path, ${FIELD_CHANGES.join(', ')}:
'mutate_event&fault_event=response.done&fault_change=null&fault_path=response.output'`,
  );

function simulatorOptions(cli: CliOptions): SimulatorOptions {
  if ((cli.tlsCert === undefined) !== (cli.tlsKey === undefined)) {
    program.error('error: --tls-cert and --tls-key go together');
  }
  return {
    host: cli.host,
    port: cli.port,
    mode: cli.mode,
    dialect: cli.dialect,
    speedup: cli.speedup,
    loopbackDeltaMs: cli.delta,
    responseDelayMs: cli.responseDelay,
    transcriptionDelayMs: cli.transcriptionDelay,
    sessionDurationMs: cli.sessionDuration,
    requireAuth: cli.auth,
    ...(cli.fixtures !== undefined && { fixturesDir: cli.fixtures }),
    ...(cli.apiKey !== undefined && { apiKeys: cli.apiKey }),
    ...(cli.tlsCert !== undefined &&
      cli.tlsKey !== undefined && {
        tls: { cert: readFileSync(cli.tlsCert, 'utf8'), key: readFileSync(cli.tlsKey, 'utf8') },
      }),
  };
}

async function main(): Promise<void> {
  const cli = program.parse().opts<CliOptions>();
  const log = pino({ level: cli.logLevel, base: null });
  const simulator = await RealtimeSimulator.listen(simulatorOptions(cli));
  if (cli.fault) simulator.setDefaultFaults(cli.fault.faults, cli.fault.connections);
  simulator.on('connection', (connection) => {
    const { id, request } = connection;
    log.info({ session: id, model: request.model, faults: connection.faults }, 'connected');
    connection.once('close', (code, reason) => log.info({ session: id, code, reason }, 'closed'));
    if (cli.logSpeech) {
      const caller = request.headers['openai-safety-identifier'];
      connection.on('serverEvent', ({ type }) => {
        if (type !== 'input_audio_buffer.speech_started') return;
        log.info({ session: id, caller, atMs: monotonicNowMs() }, 'speech started');
      });
    }
    if (log.isLevelEnabled('debug')) {
      connection.on('clientEvent', (event) => log.debug({ session: id, event: event.type }, 'received'));
      connection.on('serverEvent', (event) => log.debug({ session: id, event: event.type }, 'sent'));
    }
  });
  log.info({ mode: cli.mode, url: simulator.url }, 'simulator listening');
  log.info(`point a gateway at it with OPENAI_REALTIME_URL=${simulator.url}`);

  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal, stats: simulator.stats }, 'closing');
    void simulator.close();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

try {
  await main();
} catch (error) {
  const { message, cause } = error as Error;
  process.stderr.write(`${cause instanceof Error ? `${message}: ${cause.message}` : message}\n`);
  process.exitCode = 1;
}
