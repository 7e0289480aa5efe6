import { fileURLToPath } from 'node:url';
import type { Faults } from './faults.ts';

/**
 * What the assistant does with what it hears.
 * - `scripted`: answers with the recorded lines of the fixtures' script.
 * - `echo`: answers each turn with the caller's own audio of that turn, byte for byte if both formats are the same.
 * - `loopback`: sends every appended chunk back at once, or in deltas of a given length, in one endless response, with no
 *   voice activity detection: for measuring latency and sample-exactness from end to end.
 */
export type SimulatorMode = 'scripted' | 'echo' | 'loopback';

/**
 * The names that events have: today's, or those of the API's beta, which clients of then still use. Shapes are today's in
 * both, but for what a `session.update` of the beta says of audio.
 */
export type SimulatorDialect = 'ga' | 'beta';

/** Plain data, so that a simulator can be started on another thread. */
export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** PEM. Serves wss instead of ws. */
  tls?: { cert: string; key: string };
  /** Default `scripted`. */
  mode?: SimulatorMode;
  /** Default `ga`, which refuses clients of the beta; `beta` speaks as they do. */
  dialect?: SimulatorDialect;
  /** How many times faster than real time replies are generated. Default 6; `Infinity`: each in one go. */
  speedup?: number;
  /** In loopback mode, the shortest audio of a delta. Default 0: a delta for each appended chunk. */
  loopbackDeltaMs?: number;
  /** Thinking time between `response.created` and the first output. Default 150. */
  responseDelayMs?: number;
  /** Between the end of a turn and its transcript. Default 250. */
  transcriptionDelayMs?: number;
  /** Faults of connections that neither a query nor {@link RealtimeSimulator.nextConnection} gives others. */
  faults?: Faults;
  /** Accepted bearer tokens. Left out: any. */
  apiKeys?: string[];
  /** Default true: without a bearer token the handshake is refused with 401. */
  requireAuth?: boolean;
  /** How long a session lasts. Default 3600000. */
  sessionDurationMs?: number;
  /** Folder with `manifest.json`, the assistant's lines and the recorded calls. Default: the one that ships. */
  fixturesDir?: string;
  /** Keeps all audio that a connection receives, for {@link SimulatorConnection.receivedAudio}. Default false. */
  captureAudio?: boolean;
}

export type ResolvedOptions = Required<Omit<SimulatorOptions, 'tls' | 'apiKeys'>> &
  Pick<SimulatorOptions, 'tls' | 'apiKeys'>;

/** @throws RangeError when `speedup` is not above 0 */
export function resolveOptions(options: SimulatorOptions): ResolvedOptions {
  if (options.speedup !== undefined && !(options.speedup > 0)) throw new RangeError('speedup must be above 0');
  return {
    host: '127.0.0.1',
    port: 0,
    mode: 'scripted',
    dialect: 'ga',
    speedup: 6,
    loopbackDeltaMs: 0,
    responseDelayMs: 150,
    transcriptionDelayMs: 250,
    faults: {},
    requireAuth: true,
    sessionDurationMs: 3_600_000,
    fixturesDir: fileURLToPath(new URL('../../fixtures', import.meta.url)),
    captureAudio: false,
    ...options,
  };
}
