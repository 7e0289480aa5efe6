import type { AudioFormat } from '../src/audio/codec.ts';
import type { CallMode, DuplexSettings, Expectation, Overlap } from './protocol.ts';
import type { Slo } from './slo.ts';

/** One load test. */
export interface LoadOptions {
  readonly calls: number;
  readonly wavFiles: readonly string[];
  readonly chunkMs: number;
  readonly mode: CallMode;
  /** Of streamed calls. */
  readonly duplex: DuplexSettings;
  readonly keepAlive: boolean;
  readonly overlap: Overlap;
  /** Requests say up to where answers have arrived. */
  readonly acknowledges: boolean;
  /** How chunks travel: base64 in JSON, or as they are. */
  readonly body: 'json' | 'raw';
  readonly rampPerSecond: number;
  /** From when all calls have started. */
  readonly durationMs: number;
  /** How much of `durationMs`, at its beginning, is left out of what is measured "in the steady state". */
  readonly warmUpMs: number;
  /** A call ends after this long and the next takes its place; absent: calls last as long as the run. */
  readonly callLengthMs?: number | undefined;
  readonly format: AudioFormat;
  /** What is expected to be heard. */
  readonly expectation: Expectation;
  readonly pollTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** How long a caller lets the first audio of a reply wait before it plays it. */
  readonly jitterMs: number;
  /** Processes that play the calls. */
  readonly generators: number;
  readonly aiAgentRef?: string | undefined;
  /** A gateway that runs already; absent: one is started, with a simulator behind it. */
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
  /** Compile it first, where its sources are newer than the last build. */
  readonly build: boolean;
  readonly sessionWorkers: 'dedicated' | number;
  readonly audioThreads?: number | undefined;
  /** Shortest audio of the started simulator's deltas in loopback; 0: one for each chunk. */
  readonly deltaMs: number;
  readonly tls: boolean;
  /** Arguments of the started gateway's `node`. */
  readonly nodeArgs: readonly string[];
  readonly slos: readonly Slo[];
}

/** Lateness (p99) of a generator's chunks, or of its timers, past which nothing that was measured is to be believed. */
export const SATURATED_MS = 20;

/** Shortest time in which every chunk's audio fills a frame, plus a frame: a buffer that steady audio never empties. */
export function defaultJitterMs(chunkMs: number, mode: CallMode): number {
  return chunkMs + 60 + (mode === 'poll1' ? chunkMs : 0);
}
