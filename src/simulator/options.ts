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
 * How servers of this protocol differ from each other.
 * - `ga`: as the service itself
 * - `azure`: takes the key in the header `api-key`, or an Entra token as bearer; transcribes with its deployments only,
 *   of which each is called by the name of its model and `-deployment`; repeats content parts
 * - `no-created`: sends no `session.created`
 * - `beta`: events have the names of the API's beta, which clients of then still use; shapes are today's, but for what a
 *   `session.update` of the beta says of audio
 * - `no-transcription`: refuses a session that is to be transcribed
 */
export const SIMULATOR_DIALECTS = ['ga', 'azure', 'no-created', 'beta', 'no-transcription'] as const;
export type SimulatorDialect = (typeof SIMULATOR_DIALECTS)[number];

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
  /** Default `ga`. Only `beta` takes clients of the beta. */
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
