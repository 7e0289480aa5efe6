import type { AudioFormat } from '../src/audio/codec.ts';
import type { HistogramSnapshot } from './histogram.ts';

/** Requests for chunks: `poll1`: the answer to each carries what is queued; `longpoll`: a poll waits beside them. */
export type RequestMode = 'poll1' | 'longpoll';

/** How a call listens and sends; `duplex`: one request, both ways, for as long as the call lasts. */
export type CallMode = RequestMode | 'duplex';

/**
 * Whether chunks wait for the answer to the one before: `no`; over several `connections`, as a client library with a
 * pool has them; `pipelined` on one.
 */
export type Overlap = 'no' | 'connections' | 'pipelined';

/** What a streamed call asks for. Milliseconds. */
export interface DuplexSettings {
  readonly leadMs: number;
  readonly frameMs: number;
  readonly tickMs: number;
  /** The path of another server's, which is only spoken to and listened to; absent: the gateway's, and all it can do. */
  readonly foreignPath?: string | undefined;
}

/** What is expected to be heard: the caller's own audio at once, a turn later, the script's lines; or nothing is known. */
export type Expectation = 'loopback' | 'echo' | 'scripted' | 'none';

/** Everything a generator process needs to know. Plain data: it is sent to it. */
export interface GeneratorJob {
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Numbers of the calls this process plays, of all. */
  readonly calls: readonly number[];
  readonly callIdPrefix: string;
  readonly aiAgentRef: string | undefined;
  readonly wavFiles: readonly string[];
  readonly format: AudioFormat;
  readonly chunkMs: number;
  readonly mode: CallMode;
  readonly duplex: DuplexSettings;
  readonly keepAlive: boolean;
  readonly overlap: Overlap;
  /** Requests say up to where answers have arrived. */
  readonly acknowledges: boolean;
  readonly body: 'json' | 'raw';
  readonly expectation: Expectation;
  readonly rampPerSecond: number;
  /** A call ends after this long and another takes its place; absent: at the end of the run, or of its recording. */
  readonly callLengthMs: number | undefined;
  readonly pollTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly jitterMs: number;
  /** With what the gateway hashes callers' numbers for the upstream, and for whom; absent: not known. */
  readonly callerHash: { readonly key: string; readonly tenantId: string } | undefined;
}

/** The upstream heard a caller begin to speak. */
export interface SpeechMark {
  /** The caller's hash. */
  readonly caller: string;
  /** In milliseconds of `monotonicNowMs`. */
  readonly atMs: number;
}

/**
 * `job` is answered by `ready`. `go` starts the calls; times are milliseconds of `monotonicNowMs`, which all processes of a
 * machine share. From `stopMs` on, or once told to stop, no call is started and running ones end.
 */
export type ToGenerator =
  | { readonly type: 'job'; readonly job: GeneratorJob }
  | { readonly type: 'go'; readonly startMs: number; readonly stopMs: number }
  | { readonly type: 'speech'; readonly mark: SpeechMark }
  | { readonly type: 'stop' };

export type FromGenerator =
  | { readonly type: 'ready' }
  | { readonly type: 'report'; readonly report: GeneratorReport }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string };

/** What is timed. All in milliseconds. */
export const TIMINGS = [
  /** POST of a chunk, from sending to answer. */
  'stream',
  /** POST of a chunk, from when it was due to its answer. */
  'response',
  /** A long poll's answer, beyond what it had to wait: only those that hold nothing, and so waited to the end. */
  'pollOverrun',
  'create',
  'end',
  /** Loopback: sample sent → same sample heard, without chunking. */
  'e2e',
  /** Streamed: a frame of the answer, behind its schedule. */
  'arrival',
  /** Streamed: the upstream says that the caller speaks → the first silence is played. */
  'bargeIn',
  /** The same, until that silence has come in. */
  'bargeInSeen',
  /** How late the generator itself sent a chunk that nothing held back. */
  'lateness',
  /** How late a timer of the generator ran, whatever it had to do. */
  'loop',
] as const;
export type Timing = (typeof TIMINGS)[number];

/** What is counted. */
export const COUNTERS = [
  'requests',
  'chunks',
  /** Chunks that went out late because the answer to the one before had not come. */
  'heldBack',
  /** Answers that came after the next chunk was due, or after the poll's timeout. */
  'latePolls',
  /** Chunks the gateway refused: they were never part of the call. */
  'refused',
  /** Chunks that were not sent because they were too old by then. */
  'dropped',
  'callsStarted',
  'callsEnded',
  /** Calls that ended before they were to. */
  'callsLost',
  'interruptions',
  /** Kept connections that the gateway closed. */
  'closedConnections',
  /** Times a streamed call had nothing to play, and the milliseconds of that. */
  'underruns',
  'underrunMs',
  'gaps',
  'gapMs',
  'heardMs',
  'exactSamples',
  'alikeSamples',
  'lostSamples',
  'repeatedSamples',
  'alteredSamples',
  'breaks',
  'linesChecked',
  'missingLines',
  'foreignLines',
  'unknownLines',
] as const;
export type Counter = (typeof COUNTERS)[number];

/** One second of one generator. */
export interface GeneratorReport {
  /** Number of the second since the start. */
  readonly second: number;
  readonly activeCalls: number;
  readonly timings: Readonly<Partial<Record<Timing, HistogramSnapshot>>>;
  readonly counters: Readonly<Partial<Record<Counter, number>>>;
  /** Failed requests, by what asked and what it got: `stream 503 upstream_busy`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Sentences about what went wrong, a few. */
  readonly notes: readonly string[];
  /** CPU time this process has spent, in seconds. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}
