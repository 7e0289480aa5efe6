import { Piscina } from 'piscina';
import { monotonicNowMs } from '../../clock.ts';
import type {
  AudioJob,
  AudioJobResult,
  AudioState,
  DownlinkJob,
  DownlinkOutput,
  FileJob,
  UplinkInput,
  UplinkJob,
  UplinkOutput,
} from './jobs.ts';
import { canPassOn, passDown, passUp } from './pass-on.ts';

const TASK_FILE = new URL(import.meta.url.endsWith('.ts') ? './task.ts' : './task.js', import.meta.url);

/** Tasks are handed over at most this often: work that comes in between is gathered. */
const GATHER_MS = 2;
/** A task leaves little garbage; V8's own limit would have each thread keep tens of megabytes for it. */
const MAX_YOUNG_GENERATION_MB = 12;

export interface AudioPoolOptions {
  readonly threads: number;
  /** Told the seconds each batch took, from hand-over to result, and what it held. */
  readonly onBatch?: (seconds: number, jobs: readonly AudioJob[]) => void;
}

/** What stays the same for all jobs of a lane. */
type LaneSetup<Job extends AudioJob> = Omit<Job, 'state' | 'inputs'>;

interface Waiting<Input, Output> {
  readonly input: Input;
  readonly resolve: (output: Output) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The audio threads. Work is handed over as one task a thread: at once on a quiet gateway, gathered for up to
 * `GATHER_MS` on a busy one, because posting a task costs more than most of them take.
 */
export class AudioPool {
  readonly #piscina: Piscina<AudioJob[], AudioJobResult[]>;
  readonly #threads: number;
  readonly #onBatch: AudioPoolOptions['onBatch'];
  #ready: Lane[] = [];
  #scheduled = false;
  #flushedAtMs = 0;
  #inFlight = 0;

  constructor({ threads, onBatch }: AudioPoolOptions) {
    this.#threads = threads;
    this.#onBatch = onBatch;
    this.#piscina = new Piscina({
      filename: TASK_FILE.href,
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Batches are timed here; Piscina's own histograms are computed anew for every task.
      recordTiming: false,
      resourceLimits: { maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION_MB },
    });
  }

  /** Jobs that wait or run. */
  get queueDepth(): number {
    return this.#inFlight + this.#ready.length;
  }

  /** A call's way up: chunks in, append events out. */
  uplinkLane(setup: LaneSetup<UplinkJob>): AudioLane<UplinkInput, UplinkOutput> {
    const passOn = canPassOn(setup) && ((input: UplinkInput) => asPassed(passUp(input, setup)));
    return new AudioLane((state, inputs) => ({ ...setup, state, inputs }), this.#enqueue, passOn || undefined);
  }

  /** A reply item's way down: base64 pieces in (null ends it), frames out. */
  downlinkLane(setup: LaneSetup<DownlinkJob>): AudioLane<string | null, DownlinkOutput> {
    const passOn =
      canPassOn(setup) && ((input: string | null, state: AudioState | undefined) => passDown(input, setup, state));
    return new AudioLane((state, inputs) => ({ ...setup, state, inputs }), this.#enqueue, passOn || undefined);
  }

  /** WAV files in, frames out. */
  fileLane(setup: LaneSetup<FileJob>): AudioLane<Uint8Array, DownlinkOutput> {
    return new AudioLane((state, inputs) => ({ ...setup, state, inputs }), this.#enqueue);
  }

  /** Lets what runs finish, then ends the threads. Idempotent. */
  async close(): Promise<void> {
    await this.#piscina.close();
  }

  readonly #enqueue = (lane: Lane): void => {
    this.#ready.push(lane);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const pauseMs = GATHER_MS - (monotonicNowMs() - this.#flushedAtMs);
    if (pauseMs <= 0) setImmediate(() => this.#flush());
    else setTimeout(() => this.#flush(), pauseMs);
  };

  #flush(): void {
    this.#scheduled = false;
    this.#flushedAtMs = monotonicNowMs();
    const lanes = this.#ready;
    this.#ready = [];
    const size = Math.ceil(lanes.length / this.#threads);
    for (let start = 0; start < lanes.length; start += size) void this.#run(lanes.slice(start, start + size));
  }

  async #run(lanes: Lane[]): Promise<void> {
    const jobs = lanes.map((lane) => lane.takeJob());
    const startedAtMs = monotonicNowMs();
    this.#inFlight += jobs.length;
    try {
      const results = await this.#piscina.run(jobs);
      for (const [index, lane] of lanes.entries()) lane.settle(results[index]!);
    } catch (error) {
      for (const lane of lanes) lane.fail(error as Error);
    } finally {
      this.#inFlight -= jobs.length;
      this.#onBatch?.((monotonicNowMs() - startedAtMs) / 1000, jobs);
    }
  }
}

/** Works an input off on the spot, where that takes less than handing it over; undefined: not this one. */
type PassOn<Input, Output> = (
  input: Input,
  state: AudioState | undefined,
) => { readonly output: Output; readonly state: AudioState | undefined } | undefined;

function asPassed(output: UplinkOutput | undefined) {
  return output && { output, state: undefined };
}

/** A lane as the pool sees it. */
interface Lane {
  takeJob(): AudioJob;
  settle(result: AudioJobResult): void;
  fail(error: Error): void;
}

/** One direction of one call: inputs in, outputs out, in order, at most one job under way. */
export class AudioLane<Input, Output> implements Lane {
  readonly #toJob: (state: AudioState | undefined, inputs: Input[]) => AudioJob;
  readonly #enqueue: (lane: Lane) => void;
  readonly #passOn: PassOn<Input, Output> | undefined;
  #state: AudioState | undefined;
  #waiting: Waiting<Input, Output>[] = [];
  #running: Waiting<Input, Output>[] | undefined;
  #isQueued = false;

  constructor(
    toJob: (state: AudioState | undefined, inputs: Input[]) => AudioJob,
    enqueue: (lane: Lane) => void,
    passOn?: PassOn<Input, Output>,
  ) {
    this.#toJob = toJob;
    this.#enqueue = enqueue;
    this.#passOn = passOn;
  }

  /** Inputs not yet worked off. */
  get pending(): number {
    return this.#waiting.length + (this.#running?.length ?? 0);
  }

  /**
   * The input's output where there is nothing to do but to pass it on, and nothing before it; undefined: it is to be
   * pushed.
   */
  passOn(input: Input): Output | undefined {
    if (this.#passOn === undefined || this.pending > 0) return undefined;
    const passed = this.#passOn(input, this.#state);
    if (passed === undefined) return undefined;
    this.#state = passed.state;
    return passed.output;
  }

  /** Resolves with the input's output; rejects when the pool could not run it. */
  push(input: Input): Promise<Output> {
    const passed = this.passOn(input);
    if (passed !== undefined) return Promise.resolve(passed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ input, resolve, reject });
      this.#offer();
    });
  }

  takeJob(): AudioJob {
    this.#isQueued = false;
    this.#running = this.#waiting;
    this.#waiting = [];
    return this.#toJob(
      this.#state,
      this.#running.map(({ input }) => input),
    );
  }

  settle(result: AudioJobResult): void {
    this.#state = result.state;
    this.#finish((waiting, index) => waiting.resolve(result.outputs[index] as Output));
  }

  fail(error: Error): void {
    // What the filter remembered is lost with the job; the next one starts afresh.
    this.#state = undefined;
    this.#finish((waiting) => waiting.reject(error));
  }

  #finish(settle: (waiting: Waiting<Input, Output>, index: number) => void): void {
    const done = this.#running ?? [];
    this.#running = undefined;
    done.forEach(settle);
    this.#offer();
  }

  #offer(): void {
    if (this.#isQueued || this.#running || this.#waiting.length === 0) return;
    this.#isQueued = true;
    this.#enqueue(this);
  }
}
