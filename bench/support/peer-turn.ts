import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Collector } from '../../loadtest/collector.ts';
import { processCpuSeconds, processRssBytes } from '../../loadtest/gateway-watch.ts';
import { GeneratorProcess } from '../../loadtest/generator-process.ts';
import type { GeneratorJob } from '../../loadtest/protocol.ts';
import { callsOfGenerator, generatorsFor, rampMs } from '../../loadtest/schedule.ts';
import type { AudioFormat } from '../../src/audio/codec.ts';
import { monotonicNowMs } from '../../src/clock.ts';
import { median } from './measure.ts';

const WAV = fileURLToPath(new URL('../../fixtures/calls/order-status-16k.wav', import.meta.url));
const RAMP_PER_SECOND = 20;
const IDLE_MS = 1_500;
const WARM_UP_MS = 5_000;
const END_TIMEOUT_MS = 30_000;

/** A server that is up and can be called. */
export interface Subject {
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly aiAgentRef: string | undefined;
  readonly pid: number;
  /** The last lines it printed. */
  readonly lines: readonly string[];
  stop(): Promise<void>;
}

/** Someone to be measured, and how its callers speak to it. */
export interface PeerContender {
  readonly name: string;
  start(calls: number): Promise<Subject>;
  readonly calls: Pick<GeneratorJob, 'mode' | 'chunkMs' | 'body' | 'duplex'> & { readonly format: AudioFormat };
}

/** What one turn showed. */
export interface TurnResult {
  /** Of the server's process, in % of one core. */
  readonly cpuPercentPerCall: number;
  readonly rssMbPerCall: number;
  /** Seconds of audio a call heard for each second it was up: 1, or nobody was served. */
  readonly heardShare: number;
  readonly errors: Readonly<Record<string, number>>;
  /** p99 of how late the generator sent, in milliseconds. */
  readonly latenessP99Ms: number;
}

/** Starts a server, has it called by `calls` callers, and measures its process for `seconds`. */
export async function peerTurn(contender: PeerContender, calls: number, seconds: number): Promise<TurnResult> {
  const subject = await contender.start(calls);
  const generators: GeneratorProcess[] = [];
  try {
    const count = generatorsFor(calls);
    for (let i = 0; i < count; i++) generators.push(new GeneratorProcess());
    await Promise.all(
      generators.map((generator, i) => generator.prepare(jobOf(contender, subject, callsOfGenerator(calls, count, i)))),
    );
    await sleep(IDLE_MS);
    const rssBefore = processRssBytes(subject.pid) ?? 0;
    const startMs = monotonicNowMs() + 300;
    const beginMs = startMs + rampMs(calls, RAMP_PER_SECOND) + WARM_UP_MS;
    const endMs = beginMs + seconds * 1_000;
    const collector = new Collector(
      startMs,
      (second) => startMs + second * 1_000 >= beginMs && startMs + (second + 1) * 1_000 <= endMs,
    );
    const running = Promise.all(
      generators.map((generator, i) => generator.go(startMs, endMs + 500, (report) => collector.takeReport(i, report))),
    );
    running.catch(() => {});
    await sleep(Math.max(0, beginMs - monotonicNowMs()));
    const begin = { atMs: monotonicNowMs(), cpu: cpuOf(subject), heardMs: collector.counters.heardMs };
    const rss: number[] = [];
    while (monotonicNowMs() < endMs) {
      await sleep(Math.min(1_000, Math.max(1, endMs - monotonicNowMs())));
      rss.push(processRssBytes(subject.pid) ?? 0);
    }
    const end = { atMs: monotonicNowMs(), cpu: cpuOf(subject), heardMs: collector.counters.heardMs };
    await Promise.race([
      running,
      sleep(END_TIMEOUT_MS, undefined, { ref: false }).then(() => {
        throw new Error(`the callers of ${contender.name} do not end`);
      }),
    ]);
    collector.close();
    const up = collector.steadyCalls;
    if (!up) throw new Error(`no call to ${contender.name} came up: ${JSON.stringify(collector.errors)}`);
    const elapsedMs = end.atMs - begin.atMs;
    return {
      cpuPercentPerCall: (100_000 * (end.cpu - begin.cpu)) / elapsedMs / up,
      rssMbPerCall: (median(rss) - rssBefore) / 1e6 / up,
      heardShare: (end.heardMs - begin.heardMs) / elapsedMs / up,
      errors: collector.errors,
      latenessP99Ms: collector.timings(true).lateness.quantile(0.99),
    };
  } finally {
    await Promise.all(generators.map((generator) => generator.close()));
    await subject.stop();
  }
}

function cpuOf({ pid, lines }: Subject): number {
  const seconds = processCpuSeconds(pid);
  if (seconds !== undefined) return seconds;
  throw new Error(`process ${pid} is gone, or /proc is not there; it said last:\n${lines.slice(-15).join('\n')}`);
}

function jobOf({ calls }: PeerContender, subject: Subject, indices: readonly number[]): GeneratorJob {
  const { origin, headers, aiAgentRef } = subject;
  return {
    ...calls,
    origin,
    headers,
    aiAgentRef,
    calls: indices,
    callIdPrefix: 'peer',
    wavFiles: [WAV],
    keepAlive: true,
    overlap: 'no',
    acknowledges: true,
    // What is heard is compared by the load tester; here every generator does as little as it can.
    expectation: 'none',
    rampPerSecond: RAMP_PER_SECOND,
    callLengthMs: undefined,
    pollTimeoutMs: 5_000,
    requestTimeoutMs: 10_000,
    jitterMs: 1_000,
    callerHash: undefined,
  };
}
