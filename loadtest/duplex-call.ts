import { bytesPerMs } from '../src/audio/codec.ts';
import { callerHash } from '../src/call/settings.ts';
import { monotonicNowMs } from '../src/clock.ts';
import {
  type CallContext,
  DRAIN_MS,
  firstChunkOf,
  LAST_REPLY_MS,
  noteEnd,
  sleepMs,
  TOO_OLD_MS,
} from './call-context.ts';
import { HeardLines } from './heard-lines.ts';
import { HttpLane } from './http-lane.ts';
import type { Recording } from './recording.ts';
import { ask } from './requests.ts';
import type { SendClock, Sender } from './send-clock.ts';
import { StreamListener } from './stream-listener.ts';
import { chunkOf, StreamedExchange } from './streamed-exchange.ts';

/** A recording's chunks as they go over a connection, made once for all calls. */
const framed = new WeakMap<Recording, { readonly chunks: readonly Buffer[]; readonly silence: Buffer }>();

/** One caller with a streamed call: one request, made with `create=1`, that lasts as long as the call does. */
export class DuplexCall implements Sender {
  /** Who is calling, as the upstream knows it; undefined: not known. */
  readonly caller: string | undefined;
  readonly #context: CallContext;
  readonly #clock: SendClock;
  readonly #callId: string;
  readonly #callerNumber: string;
  readonly #phaseMs: number;
  readonly #listener: StreamListener;
  readonly #lines: HeardLines;
  readonly #firstChunk: number;
  readonly #chunks: readonly Buffer[];
  readonly #silence: Buffer;
  readonly #answered = Promise.withResolvers<number>();
  readonly #sent = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #exchange: StreamedExchange | undefined;
  #status = 0;
  #problem = '';
  #isOver = false;
  #isEnding = false;
  #next = 0;
  #firstDueMs = 0;
  #endsAtMs = Number.POSITIVE_INFINITY;

  constructor(
    context: CallContext,
    recording: Recording,
    clock: SendClock,
    callId: string,
    index: number,
    phaseMs: number,
  ) {
    this.#context = context;
    this.#clock = clock;
    this.#callId = callId;
    this.#phaseMs = phaseMs;
    const { job } = context;
    this.#callerNumber = `39${String(index).padStart(10, '0')}`;
    this.caller = job.callerHash && callerHash(job.callerHash.key, job.callerHash.tenantId, this.#callerNumber);
    this.#firstChunk = firstChunkOf(job, index, recording.chunks.length);
    this.#listener = new StreamListener({ ...context, recording, firstChunk: this.#firstChunk });
    this.#lines = new HeardLines(context, recording.name, callId);
    const made = framed.get(recording) ?? {
      chunks: recording.chunks.map(chunkOf),
      silence: chunkOf(recording.silence.bytes),
    };
    framed.set(recording, made);
    this.#chunks = made.chunks;
    this.#silence = made.silence;
  }

  /** The whole call. Returns whether it could be set up. */
  async run(): Promise<boolean> {
    const { stats, job, stopMs } = this.#context;
    const { foreignPath } = job.duplex;
    const sentAtMs = monotonicNowMs();
    stats.count('requests');
    this.#exchange = this.#open();
    try {
      // Others send their head with the first audio.
      if (foreignPath === undefined) {
        if (!(await this.#isAnswered())) return false;
        stats.time('create', monotonicNowMs() - sentAtMs);
      }
      stats.count('callsStarted');
      stats.activeCalls += 1;
      if (job.callLengthMs !== undefined) this.#endsAtMs = monotonicNowMs() + job.callLengthMs;
      this.#firstDueMs = this.#clock.add(this, monotonicNowMs() + this.#phaseMs);
      await this.#sent.promise;
      await this.#drain();
      const wasCut = monotonicNowMs() >= stopMs();
      const endedByItself = this.#isOver;
      await this.#end();
      if (foreignPath === undefined) {
        if (endedByItself || job.expectation === 'scripted') await this.#askHow();
        this.#listener.speech.finish();
        this.#lines.check(wasCut);
      }
      stats.activeCalls -= 1;
      stats.count('callsEnded');
      return true;
    } finally {
      this.#clock.remove(this);
      this.#exchange.close();
    }
  }

  /** The upstream heard this caller begin to speak. */
  speechStarted(atMs: number): void {
    this.#listener.speechStarted(atMs);
  }

  #open(): StreamedExchange {
    const { job } = this.#context;
    const { encoding, sampleRateHz } = job.format;
    const { leadMs, frameMs, tickMs, foreignPath } = job.duplex;
    const query = new URLSearchParams({
      create: '1',
      lead: String(leadMs),
      frame: String(frameMs),
      tick: String(tickMs),
      callerNumber: this.#callerNumber,
      ...(job.aiAgentRef === undefined ? {} : { aiAgentRef: job.aiAgentRef }),
    });
    return new StreamedExchange(
      {
        origin: job.origin,
        path: foreignPath ?? `/api/voice/stream/${this.#callId}/duplex?${query}`,
        headers: {
          ...job.headers,
          'content-type': encoding === 'pcm16' ? `audio/pcm;rate=${sampleRateHz}` : `audio/${encoding}`,
        },
      },
      {
        onHead: (status) => {
          this.#status = status;
          if (status === 200) this.#answered.resolve(status);
        },
        onBody: (bytes) => {
          if (this.#status === 200) this.#listener.hear(bytes, monotonicNowMs());
          else this.#problem += Buffer.from(bytes).toString();
        },
        onEnd: (code) => this.#onEnd(code),
      },
    );
  }

  async #isAnswered(): Promise<boolean> {
    const { stats, job } = this.#context;
    const timeout = new AbortController();
    const status = await Promise.race([
      this.#answered.promise,
      sleepMs(job.requestTimeoutMs, timeout.signal).then(() => 0),
    ]);
    timeout.abort();
    if (status === 200) return true;
    if (status === 0) stats.error('duplex timeout');
    return false;
  }

  // Up

  step(nowMs: number): void {
    const { job, stats } = this.#context;
    let dueMs = this.#firstDueMs + this.#next * job.chunkMs;
    if (nowMs < dueMs) return;
    stats.time('lateness', nowMs - dueMs);
    for (; nowMs >= dueMs; dueMs += job.chunkMs) {
      if (this.#isOver || nowMs >= this.#stopMs()) {
        this.#clock.remove(this);
        this.#sent.resolve();
        return;
      }
      this.#send(nowMs);
      this.#next += 1;
    }
  }

  /** When sending ends: with the run, after the call's length, or once a scripted call has waited for the last reply. */
  #stopMs(): number {
    const { job, stopMs } = this.#context;
    const endMs = Math.min(stopMs(), this.#endsAtMs);
    if (job.expectation !== 'scripted') return endMs;
    const left = this.#next - this.#chunks.length;
    return left * job.chunkMs > LAST_REPLY_MS ? 0 : endMs;
  }

  #send(nowMs: number): void {
    const { job, stats } = this.#context;
    if (this.#exchange!.unsentBytes > TOO_OLD_MS * bytesPerMs(job.format)) {
      stats.count('dropped');
      this.#listener.speech.notSent();
      return;
    }
    const isSpoken = job.expectation !== 'scripted' || this.#next < this.#chunks.length;
    this.#exchange!.write(
      isSpoken ? this.#chunks[(this.#firstChunk + this.#next) % this.#chunks.length]! : this.#silence,
    );
    this.#listener.speech.sent(nowMs);
    stats.count('chunks');
  }

  // Down

  #onEnd(code: string | undefined): void {
    const { stats } = this.#context;
    this.#isOver = true;
    this.#over.resolve();
    if (this.#status !== 200) {
      this.#answered.resolve(this.#status === 0 ? -1 : this.#status);
      stats.error(this.#refusal(code));
      if (this.#problem) stats.note(`${this.#callId} duplex: ${this.#problem.slice(0, 200)}`);
    } else if (code !== undefined) {
      stats.error(`duplex ${code}`);
      if (!this.#isEnding) stats.count('callsLost');
    }
  }

  #refusal(code: string | undefined): string {
    if (this.#status === 0) return `duplex ${code ?? 'no_answer'}`;
    const name = /"code":"([a-z_]+)"/.exec(this.#problem)?.[1];
    return `duplex ${this.#status}${name ? ` ${name}` : ''}`;
  }

  /** Waits for what was sent and has not been heard; the gateway's silence pushes it out. */
  async #drain(): Promise<void> {
    const { job } = this.#context;
    if (job.expectation !== 'loopback') return;
    this.#listener.speech.lastWasSent();
    const endsAtMs = monotonicNowMs() + DRAIN_MS;
    while (!this.#isOver && !this.#listener.speech.hasHeardAll && monotonicNowMs() < endsAtMs) await sleepMs(20);
  }

  /** Hangs up: the body ends, and so does the call, and so does the answer. */
  async #end(): Promise<void> {
    const { job, stats } = this.#context;
    this.#isEnding = true;
    if (this.#isOver) return;
    const sentAtMs = monotonicNowMs();
    this.#exchange!.end();
    const timeout = new AbortController();
    await Promise.race([this.#over.promise, sleepMs(job.requestTimeoutMs, timeout.signal)]);
    timeout.abort();
    if (this.#isOver) stats.time('end', monotonicNowMs() - sentAtMs);
    else stats.error('duplex end timeout');
  }

  /** The summary of the call: how it ended, and what was said in it. */
  async #askHow(): Promise<void> {
    const { job, stats } = this.#context;
    const { origin, headers, requestTimeoutMs: timeoutMs } = job;
    const lane = new HttpLane({ origin, headers, timeoutMs, keepAlive: true });
    stats.count('requests');
    const outcome = await ask('end', () => lane.post(`/api/voice/session/${this.#callId}/end`));
    await lane.close();
    if (outcome.type !== 'answered') {
      stats.error(outcome.error);
      return;
    }
    const { transcript = [], endReason, error } = outcome.answer.summary ?? {};
    for (const line of transcript) this.#lines.add(line);
    noteEnd(this.#context, this.#callId, endReason, error);
  }
}
