/** A process that plays calls. Started by the load tester, which tells it what to do over IPC. */
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicNowMs } from '../src/clock.ts';
import { Call } from './call.ts';
import type { CallContext } from './call-context.ts';
import { SearchBudget } from './continuity.ts';
import { DuplexCall } from './duplex-call.ts';
import type { FromGenerator, GeneratorJob, SpeechMark, ToGenerator } from './protocol.ts';
import { loadRecording, lookAheadMs, type Recording } from './recording.ts';
import { callStartMs, phaseMs } from './schedule.ts';
import { expectedLines } from './script-lines.ts';
import { SendClock } from './send-clock.ts';
import { Stats } from './stats.ts';

/** A call that could not be set up is tried again after this. */
const RETRY_MS = 1_000;
const PROBE_MS = 20;
const FIXTURES = new URL('../fixtures/', import.meta.url);

function send(message: FromGenerator): void {
  process.send?.(message);
}

/** Plays the calls of one job from `startMs` to `stopMs`. */
class Generator {
  readonly #job: GeneratorJob;
  readonly #recordings: readonly Recording[];
  readonly #stats = new Stats();
  readonly #stopped = new AbortController();
  readonly #clock: SendClock;
  /** Streamed calls, by who calls. */
  readonly #callers = new Map<string, DuplexCall>();
  #stopMs = Number.POSITIVE_INFINITY;

  constructor(job: GeneratorJob) {
    this.#job = job;
    this.#clock = new SendClock(job.chunkMs);
    this.#recordings = job.wavFiles.map((file) => loadRecording(file, job.format, job.chunkMs));
  }

  async run(startMs: number, stopMs: number): Promise<void> {
    const job = this.#job;
    this.#stopMs = stopMs;
    const context: CallContext = {
      job,
      stats: this.#stats,
      lookAheadMs: lookAheadMs(job.format),
      budget: new SearchBudget(),
      expectedLines: job.expectation === 'scripted' ? expectedLines(FIXTURES) : new Map(),
      stopMs: () => this.#stopMs,
    };
    const reporting = this.#report(startMs);
    const probing = this.#probe();
    await Promise.all(job.calls.map((index) => this.#keepCalling(context, index, startMs)));
    this.#stopped.abort();
    await Promise.all([reporting, probing]);
  }

  /** Calls are ended now. */
  stop(): void {
    this.#stopMs = 0;
    this.#stopped.abort();
  }

  /** The upstream heard a caller begin to speak; perhaps one of another process. */
  speechStarted({ caller, atMs }: SpeechMark): void {
    this.#callers.get(caller)?.speechStarted(atMs);
  }

  /** One line of the switch: one call after the other. */
  async #keepCalling(context: CallContext, index: number, startMs: number): Promise<void> {
    const { rampPerSecond, chunkMs, callIdPrefix } = this.#job;
    await this.#sleepUntil(callStartMs(startMs, index, rampPerSecond));
    for (let round = 0; monotonicNowMs() < this.#stopMs; round++) {
      const recording = this.#recordings[(index + round) % this.#recordings.length]!;
      const callId = `${callIdPrefix}-${index}-${round}`;
      const phase = phaseMs(index, chunkMs);
      const call =
        this.#job.mode === 'duplex'
          ? new DuplexCall(context, recording, this.#clock, callId, index, phase)
          : new Call(context, recording, callId, index, phase);
      if (call instanceof DuplexCall && call.caller !== undefined) this.#callers.set(call.caller, call);
      if (!(await call.run())) await this.#sleepUntil(monotonicNowMs() + RETRY_MS);
    }
  }

  async #report(startMs: number): Promise<void> {
    for (let second = 0; ; second = Math.max(second, Math.floor((monotonicNowMs() - startMs) / 1000))) {
      await this.#sleepUntil(startMs + (second + 1) * 1000);
      send({ type: 'report', report: this.#stats.drain(second) });
      if (!this.#stopped.signal.aborted) continue;
      if (this.#stats.activeCalls === 0) return;
      await sleep(200);
    }
  }

  /** How late timers run tells whether this process still keeps up, whatever the gateway does. */
  async #probe(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const dueMs = monotonicNowMs() + PROBE_MS;
      await sleep(PROBE_MS);
      this.#stats.time('loop', Math.max(0, monotonicNowMs() - dueMs));
    }
  }

  async #sleepUntil(dueMs: number): Promise<void> {
    const waitMs = Math.ceil(dueMs - monotonicNowMs());
    if (waitMs <= 0) return;
    await sleep(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
  }
}

let generator: Generator | undefined;

async function onMessage(message: ToGenerator): Promise<void> {
  switch (message.type) {
    case 'job':
      generator = new Generator(message.job);
      send({ type: 'ready' });
      break;
    case 'go':
      await generator!.run(message.startMs, message.stopMs);
      process.send?.({ type: 'done' } satisfies FromGenerator, () => process.disconnect?.());
      break;
    case 'speech':
      generator?.speechStarted(message.mark);
      break;
    case 'stop':
      generator?.stop();
      break;
  }
}

process.on('message', (message: ToGenerator) => {
  onMessage(message).catch((error: Error) => {
    // What is wrong with a job is somebody's typing; anything else is a defect, and its place is worth knowing.
    const text = message.type === 'job' ? error.message : (error.stack ?? error.message);
    process.send?.({ type: 'failed', message: text } satisfies FromGenerator, () => process.exit(1));
  });
});
// Whoever started this process is gone.
process.on('disconnect', () => process.exit());
