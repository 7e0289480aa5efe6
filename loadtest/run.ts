import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicNowMs } from '../src/clock.ts';
import { buildReport, type Snapshot } from './build-report.ts';
import { Collector } from './collector.ts';
import { type GatewaySample, GatewayWatch, processCpuSeconds } from './gateway-watch.ts';
import { GeneratorProcess } from './generator-process.ts';
import type { LoadOptions } from './options.ts';
import type { GeneratorJob } from './protocol.ts';
import type { LoadReport } from './report.ts';
import { callsOfGenerator, rampMs } from './schedule.ts';
import { buildIfNeeded, type Stack, startStack } from './stack.ts';

/** From when all generators are ready to the first call. */
const START_DELAY_MS = 300;
/** How long an idle gateway is watched before the first call, for its memory. */
const IDLE_MS = 2_000;
/** How long after its end a generator may take to end its calls. */
const END_TIMEOUT_MS = 30_000;

/** How far a run has come. */
export interface LoadProgress {
  readonly elapsedMs: number;
  readonly totalMs: number;
  readonly calls: number;
  readonly errors: number;
  readonly gaps: number;
  readonly gatewayCpu: number | undefined;
}

export interface LoadHooks {
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Told what is being done before the calls start. */
  readonly onStep?: (step: string) => void;
  /** Ends the run early; what was measured up to then is reported. */
  readonly signal?: AbortSignal;
}

/**
 * Runs one load test: starts what is to be tested where no URL was given, plays the calls, watches the gateway, stops
 * everything it started.
 * @throws {Error} when something could not be started or a generator failed
 */
export async function runLoad(options: LoadOptions, hooks: LoadHooks = {}): Promise<LoadReport> {
  let stack: Stack | undefined;
  const generators: GeneratorProcess[] = [];
  try {
    if (options.url === undefined) {
      if (options.build) {
        hooks.onStep?.('building the gateway');
        buildIfNeeded();
      }
      hooks.onStep?.('starting simulator and gateway');
      stack = await startStack({
        simulatorMode: options.expectation === 'none' ? 'scripted' : options.expectation,
        deltaMs: options.deltaMs,
        sessionWorkers: options.sessionWorkers,
        audioThreads: options.audioThreads,
        calls: options.calls,
        tls: options.tls,
        nodeArgs: options.nodeArgs,
        onSpeech:
          options.mode === 'duplex' && options.expectation === 'scripted'
            ? (mark) => generators.forEach((generator) => void generator.speechStarted(mark))
            : undefined,
      });
    }
    hooks.onStep?.(`starting ${options.generators} generator${options.generators === 1 ? '' : 's'}`);
    for (let i = 0; i < options.generators; i++) generators.push(new GeneratorProcess());
    await Promise.all(generators.map((generator, i) => generator.prepare(jobOf(options, stack, i))));
    return await new LoadRun(options, stack, generators, hooks).run();
  } finally {
    await Promise.all(generators.map((generator) => generator.close()));
    await stack?.stop();
  }
}

function jobOf(options: LoadOptions, stack: Stack | undefined, generator: number): GeneratorJob {
  return {
    origin: originOf(options, stack),
    headers: headersOf(options, stack),
    calls: callsOfGenerator(options.calls, options.generators, generator),
    // Calls of an earlier run may still be known to a gateway that keeps running.
    callIdPrefix: `load-${randomBytes(3).toString('hex')}`,
    aiAgentRef: options.aiAgentRef ?? stack?.aiAgentRef,
    wavFiles: options.wavFiles,
    format: options.format,
    chunkMs: options.chunkMs,
    mode: options.mode,
    duplex: options.duplex,
    keepAlive: options.keepAlive,
    overlap: options.overlap,
    acknowledges: options.acknowledges,
    body: options.body,
    expectation: options.expectation,
    rampPerSecond: options.rampPerSecond,
    callLengthMs: options.callLengthMs,
    pollTimeoutMs: options.pollTimeoutMs,
    requestTimeoutMs: options.requestTimeoutMs,
    jitterMs: options.jitterMs,
    callerHash: stack?.callerHash,
  };
}

function originOf(options: LoadOptions, stack: Stack | undefined): string {
  return new URL(stack?.gateway.url ?? options.url!).origin;
}

function headersOf(options: LoadOptions, stack: Stack | undefined): Record<string, string> {
  const apiKey = stack?.apiKey ?? options.apiKey;
  return apiKey === undefined ? {} : { 'x-api-key': apiKey };
}

/** The part of a load test in which calls are up. */
class LoadRun {
  readonly #options: LoadOptions;
  readonly #stack: Stack | undefined;
  readonly #generators: readonly GeneratorProcess[];
  readonly #hooks: LoadHooks;
  readonly #watch: GatewayWatch;
  #collector: Collector | undefined;
  #rssBefore: number[] = [];
  #rssSteady: number[] = [];
  #loopSteady: number[] = [];
  #first: GatewaySample | undefined;
  #isSteady = false;
  #died: Error | undefined;
  #lastCpu: number | undefined;
  #previous: GatewaySample | undefined;

  constructor(options: LoadOptions, stack: Stack | undefined, generators: GeneratorProcess[], hooks: LoadHooks) {
    this.#options = options;
    this.#stack = stack;
    this.#generators = generators;
    this.#hooks = hooks;
    this.#watch = new GatewayWatch({
      origin: originOf(options, stack),
      headers: headersOf(options, stack),
      onSample: (sample) => this.#onSample(sample),
    });
  }

  async run(): Promise<LoadReport> {
    const { calls, rampPerSecond, durationMs, warmUpMs } = this.#options;
    this.#hooks.onStep?.('watching the idle gateway');
    const stopped = new AbortController();
    const onStop = () => stopped.abort();
    this.#hooks.signal?.addEventListener('abort', onStop, { once: true });
    if (this.#hooks.signal?.aborted) onStop();
    try {
      await this.#checkMetrics();
      this.#watch.start();
      await pause(IDLE_MS, stopped.signal);

      const startedAt = new Date();
      const startMs = monotonicNowMs() + START_DELAY_MS;
      const fullMs = startMs + rampMs(calls, rampPerSecond);
      const steadyMs = fullMs + warmUpMs;
      const stopMs = fullMs + durationMs;
      const secondOf = (ms: number) => (ms - startMs) / 1000;
      // Whole seconds only: the ones at the ends hold what is not steady.
      let steadyEndMs = stopMs;
      const collector = new Collector(
        startMs,
        (second) => second >= secondOf(steadyMs) && second + 1 <= secondOf(steadyEndMs),
      );
      this.#collector = collector;
      const running = this.#generators.map((generator, i) =>
        generator.go(startMs, stopMs, (report) => collector.takeReport(i, report)),
      );
      // Failures are looked at when all of them are awaited; until then they are nobody's.
      for (const run of running) run.catch(() => stopped.abort());
      this.#guardStack(stopped);
      const progress = setInterval(() => this.#progress(startMs, stopMs), 500);

      await pause(steadyMs - monotonicNowMs(), stopped.signal);
      const begin = stopped.signal.aborted ? undefined : await this.#snapshot();
      this.#isSteady = begin !== undefined;
      await pause(stopMs - 50 - monotonicNowMs(), stopped.signal);
      if (stopped.signal.aborted) steadyEndMs = monotonicNowMs();
      const end = await this.#snapshot();
      this.#isSteady = false;
      if (stopped.signal.aborted) for (const generator of this.#generators) generator.stop();
      await Promise.race([
        Promise.all(running),
        sleep(END_TIMEOUT_MS, undefined, { ref: false }).then(() => {
          throw new Error('the generators do not end');
        }),
      ]).finally(() => clearInterval(progress));
      if (this.#died) throw this.#died;
      const last = await this.#watch.sample().catch(() => undefined);
      await this.#watch.close();
      collector.close();
      return buildReport(this.#options, {
        startedAt,
        collector,
        steady: begin && { begin, end },
        first: this.#first,
        last,
        rssBefore: this.#rssBefore,
        rssSteady: this.#rssSteady,
        loopSteady: this.#loopSteady,
        scrapeFailures: this.#watch.failures,
        isInterrupted: stopped.signal.aborted,
      });
    } finally {
      this.#hooks.signal?.removeEventListener('abort', onStop);
      await this.#watch.close();
    }
  }

  /** A gateway that dies ends the run; so does its upstream. */
  #guardStack(stopped: AbortController): void {
    for (const process of [this.#stack?.gateway, this.#stack?.simulator]) {
      void process?.gone.then(() => {
        this.#died ??= new Error(
          `${process.name} ended in the middle of the run:\n${process.lines.slice(-15).join('\n')}`,
        );
        stopped.abort();
      });
    }
  }

  /** A gateway of somebody else's may keep its metrics to itself; the calls can be played all the same. */
  async #checkMetrics(): Promise<void> {
    try {
      this.#first = await this.#watch.sample();
    } catch (error) {
      if (this.#stack) throw error;
      this.#hooks.onStep?.(`the gateway's metrics cannot be read: ${(error as Error).message}`);
    }
  }

  async #snapshot(): Promise<Snapshot> {
    const gateway = await this.#watch.sample().catch(() => undefined);
    return {
      atMs: gateway?.atMs ?? monotonicNowMs(),
      gateway,
      simulatorCpuSeconds: this.#stack && processCpuSeconds(this.#stack.simulator.pid),
      generatorCpuSeconds: this.#generators.reduce((sum, { pid }) => sum + (processCpuSeconds(pid) ?? 0), 0),
    };
  }

  #onSample(sample: GatewaySample): void {
    const previous = this.#previous;
    if (previous) this.#lastCpu = (100_000 * (sample.cpuSeconds - previous.cpuSeconds)) / (sample.atMs - previous.atMs);
    this.#previous = sample;
    if (!this.#collector) {
      this.#first = sample;
      this.#rssBefore.push(sample.rssBytes);
      return;
    }
    this.#collector.takeSample(sample);
    if (!this.#isSteady) return;
    this.#rssSteady.push(sample.rssBytes);
    this.#loopSteady.push(sample.loopP99Ms);
  }

  #progress(startMs: number, stopMs: number): void {
    const collector = this.#collector!;
    this.#hooks.onProgress?.({
      elapsedMs: Math.max(0, monotonicNowMs() - startMs),
      totalMs: stopMs - startMs,
      calls: collector.activeCalls,
      errors: collector.errorCount,
      gaps: collector.counters.gaps,
      gatewayCpu: this.#lastCpu,
    });
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {});
}
