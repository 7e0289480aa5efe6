import { frameBytes } from '../src/audio/frames.ts';
import { monotonicNowMs } from '../src/clock.ts';
import { AnswerOrder } from './answer-order.ts';
import {
  type CallContext,
  DRAIN_MS,
  firstChunkOf,
  LAST_REPLY_MS,
  noteEnd,
  RETRY_PAUSE_MS,
  sleepMs,
  TOO_OLD_MS,
} from './call-context.ts';
import { CallRequests, type RequestingCall } from './call-requests.ts';
import { HeardLines } from './heard-lines.ts';
import { HttpLane, type LaneAnswer } from './http-lane.ts';
import { Listener } from './listener.ts';
import type { Recording } from './recording.ts';
import type { Answer } from './requests.ts';
import { ChunkSchedule } from './schedule.ts';

/** How much speech a caller wants to have at hand, as in the FreeSWITCH script. */
const AHEAD_MS = 3_000;
/** Overlapping requests that may be under way; what is due beyond them is not sent. */
const MAX_UNDER_WAY = 50;
const NOTHING = Buffer.alloc(0);
/** An answerless poll may come this late after its timeout. */
const POLL_SLACK_MS = 100;

/** One caller on the telephone: creates a session, plays a recording into it, hears what comes, and ends it. */
export class Call implements RequestingCall {
  readonly callId: string;
  readonly #context: CallContext;
  readonly #recording: Recording;
  readonly #listener: Listener;
  readonly #phaseMs: number;
  readonly #lane: HttpLane;
  readonly #pollLane: HttpLane | undefined;
  readonly #requests: CallRequests;
  readonly #lines: HeardLines;
  readonly #order: AnswerOrder;
  readonly #underWay = new Set<Promise<void>>();
  readonly #firstChunk: number;
  #chunkSeq = 0;
  #generation = 0;
  #isOver = false;
  #isSilent = false;
  #endsAtMs = 0;

  constructor(context: CallContext, recording: Recording, callId: string, index: number, phaseMs: number) {
    this.#context = context;
    this.#recording = recording;
    this.callId = callId;
    this.#phaseMs = phaseMs;
    const { job } = context;
    this.#firstChunk = firstChunkOf(job, index, recording.chunks.length);
    this.#listener = new Listener({ ...context, recording, firstChunk: this.#firstChunk });
    this.#lines = new HeardLines(context, recording.name, callId);
    this.#requests = new CallRequests(context, this);
    this.#order = new AnswerOrder({
      entryBytes: frameBytes(job.format),
      isAudioOnly: job.expectation === 'loopback',
    });
    const lane = {
      origin: job.origin,
      keepAlive: job.keepAlive,
      headers: job.headers,
      timeoutMs: job.requestTimeoutMs,
      onClosed: () => context.stats.count('closedConnections'),
    };
    this.#lane = new HttpLane({ ...lane, overlap: job.overlap });
    this.#pollLane = job.mode === 'longpoll' ? new HttpLane(lane) : undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isPolledBeside(): boolean {
    return this.#pollLane !== undefined;
  }

  chunkRefused(): void {
    this.#listener.refused();
  }

  gone(): void {
    this.#isOver = true;
    this.#context.stats.count('callsLost');
  }

  /** The whole call. Returns whether it could be set up. */
  async run(): Promise<boolean> {
    const { stats, job, stopMs } = this.#context;
    try {
      if (!(await this.#create())) return false;
      const startedAtMs = monotonicNowMs();
      this.#endsAtMs = job.callLengthMs === undefined ? Number.POSITIVE_INFINITY : startedAtMs + job.callLengthMs;
      stats.count('callsStarted');
      stats.activeCalls += 1;
      const polling = this.#pollLane ? this.#pollAll(this.#pollLane) : undefined;
      await this.#sendAll(new ChunkSchedule(startedAtMs + this.#phaseMs, job.chunkMs));
      await Promise.all(this.#underWay);
      await this.#drain();
      const wasCut = monotonicNowMs() >= stopMs();
      await this.#end();
      await polling;
      this.#listener.finish();
      this.#lines.check(wasCut);
      stats.activeCalls -= 1;
      stats.count('callsEnded');
      return true;
    } finally {
      await Promise.all([this.#lane.close(), this.#pollLane?.close()]);
    }
  }

  async #create(): Promise<boolean> {
    const { job, stats } = this.#context;
    const body = {
      callId: this.callId,
      callerNumber: '393297626144',
      encoding: job.format.encoding,
      sampleRate: job.format.sampleRateHz,
      ...(job.aiAgentRef === undefined ? {} : { aiAgentRef: job.aiAgentRef }),
    };
    const sentAtMs = monotonicNowMs();
    const answer = await this.#requests.ask('create', () =>
      this.#lane.post('/api/voice/session/create', Buffer.from(JSON.stringify(body))),
    );
    if (!answer) return false;
    stats.time('create', monotonicNowMs() - sentAtMs);
    return true;
  }

  // Up

  async #sendAll(schedule: ChunkSchedule): Promise<void> {
    const { job, stats } = this.#context;
    while (!this.#isOver && monotonicNowMs() < this.#stopMs(schedule.next)) {
      const { dueMs, next } = schedule;
      const earlyMs = dueMs - monotonicNowMs();
      if (earlyMs > 0) {
        await sleepMs(earlyMs);
        stats.time('lateness', Math.max(0, monotonicNowMs() - dueMs));
        if (this.#isOver) return;
      } else if (earlyMs < -TOO_OLD_MS) {
        stats.count('dropped');
        this.#listener.notSent();
        schedule.advance();
        continue;
      } else if (next > 0 && job.overlap === 'no') stats.count('heldBack');
      schedule.advance();
      if (job.overlap === 'no') await this.#sendChunk(next, dueMs);
      else this.#sendBeside(next, dueMs);
    }
  }

  /** Sends a chunk while others are under way. */
  #sendBeside(number: number, dueMs: number): void {
    if (this.#underWay.size >= MAX_UNDER_WAY) {
      this.#context.stats.count('dropped');
      this.#listener.notSent();
      return;
    }
    const sending = this.#sendChunk(number, dueMs).finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  /** When sending ends: with the run, after the call's length, or once a scripted call has nothing more to wait for. */
  #stopMs(nextChunk: number): number {
    const { job, stopMs } = this.#context;
    const endMs = Math.min(stopMs(), this.#endsAtMs);
    if (job.expectation !== 'scripted') return endMs;
    const left = nextChunk - this.#recording.chunks.length;
    if (left < 0) return endMs;
    this.#isSilent = true;
    return left * job.chunkMs > LAST_REPLY_MS || this.#lines.isComplete ? 0 : endMs;
  }

  async #sendChunk(number: number, dueMs: number): Promise<void> {
    const { job, stats } = this.#context;
    const ack = this.#order.seq;
    const post = this.#chunkRequest(number);
    // Those that overlap have their numbers, whatever becomes of the ones before.
    if (job.overlap !== 'no') this.#chunkSeq += 1;
    const sentAtMs = monotonicNowMs();
    this.#listener.sent(sentAtMs);
    stats.count('chunks');
    const { answer, isNumberUsed } = await this.#requests.askStream(post);
    if (job.overlap === 'no' && isNumberUsed) this.#chunkSeq += 1;
    const nowMs = monotonicNowMs();
    stats.time('stream', nowMs - sentAtMs);
    stats.time('response', nowMs - dueMs);
    if (job.mode === 'poll1' && nowMs > dueMs + job.chunkMs) stats.count('latePolls');
    if (!answer) return;
    if (job.mode === 'poll1') this.#take(answer, ack, nowMs);
    else if (answer.generation !== undefined) this.#noteGeneration(answer.generation);
  }

  /** The request that sends a chunk of the recording, or of silence behind its end. */
  #chunkRequest(number: number): () => Promise<LaneAnswer> {
    const { job } = this.#context;
    const { chunks, base64, silence } = this.#recording;
    const at = (this.#firstChunk + number) % chunks.length;
    const path = `/api/voice/stream/${this.callId}${job.mode === 'poll1' ? `?poll=1&${this.#deliveryQuery()}` : ''}`;
    const chunkSeq = this.#chunkSeq;
    if (job.body === 'json') {
      const audio = this.#isSilent ? silence.base64 : base64[at]!;
      // The text is ASCII: latin1 skips the look for anything longer.
      const body = Buffer.from(`{"audio":"${audio}","chunkSeq":${chunkSeq}}`, 'latin1');
      return () => this.#lane.post(path, body);
    }
    const bytes = this.#isSilent ? silence.bytes : chunks[at]!;
    const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { encoding, sampleRateHz } = job.format;
    const type = encoding === 'pcm16' ? `audio/pcm;rate=${sampleRateHz}` : `audio/${encoding}`;
    return () => this.#lane.postRaw(path, body, type, chunkSeq);
  }

  // Down

  async #pollAll(lane: HttpLane): Promise<void> {
    const { job, stats } = this.#context;
    while (!this.#isOver) {
      const path = `/api/voice/stream/${this.callId}/response?timeout=${job.pollTimeoutMs}&${this.#deliveryQuery()}`;
      const ack = this.#order.seq;
      const sentAtMs = monotonicNowMs();
      const answer = await this.#requests.ask('poll', () => lane.get(path, job.pollTimeoutMs));
      if (!answer) {
        await sleepMs(RETRY_PAUSE_MS);
        continue;
      }
      const nowMs = monotonicNowMs();
      const overrunMs = nowMs - sentAtMs - job.pollTimeoutMs;
      if (overrunMs >= 0) {
        stats.time('pollOverrun', overrunMs);
        if (overrunMs > POLL_SLACK_MS) stats.count('latePolls');
      }
      this.#take(answer, ack, nowMs);
    }
  }

  #deliveryQuery(): string {
    const nowMs = monotonicNowMs();
    const room = Math.max(60, Math.round(AHEAD_MS - this.#listener.playout.remainingMs(nowMs)));
    const playedMs = Math.round(this.#listener.playout.playedMs(nowMs));
    const ack = this.#context.job.acknowledges ? `ack=${this.#order.seq}&` : '';
    return `${ack}maxMs=${room}&generation=${this.#generation}&playedMs=${playedMs}`;
  }

  /** @param ack what the answer's request acknowledged */
  #take(answer: Answer, ack: number, nowMs: number): void {
    if (answer.generation !== undefined) this.#noteGeneration(answer.generation);
    const audio = answer.audio === undefined ? NOTHING : Buffer.from(answer.audio, 'base64');
    const seq = answer.seq ?? ack;
    for (const part of this.#order.take(this.#context.job.acknowledges ? ack : undefined, seq, audio)) {
      this.#listener.hear(part, nowMs);
    }
    if (answer.transcript !== undefined) this.#lines.add(answer.transcript);
    if (answer.hasMore === false) this.#over(answer.endReason, answer.error);
  }

  #noteGeneration(generation: number): void {
    if (generation <= this.#generation) return;
    this.#generation = generation;
    this.#context.stats.count('interruptions');
    this.#listener.interrupted();
  }

  #over(endReason: string | undefined, error: string | undefined): void {
    this.#isOver = true;
    noteEnd(this.#context, this.callId, endReason, error);
  }

  /** Waits for what was sent and has not been heard; the gateway's silence pushes it out. */
  async #drain(): Promise<void> {
    const { job } = this.#context;
    if (job.expectation !== 'loopback') return;
    this.#listener.lastWasSent();
    const endsAtMs = monotonicNowMs() + DRAIN_MS;
    while (!this.#isOver && !this.#listener.hasHeardAll && monotonicNowMs() < endsAtMs) {
      if (this.#pollLane) {
        await sleepMs(20);
        continue;
      }
      const path = `/api/voice/stream/${this.callId}/response?timeout=300&${this.#deliveryQuery()}`;
      const ack = this.#order.seq;
      const answer = await this.#requests.ask('poll', () => this.#lane.get(path, 300));
      if (answer) this.#take(answer, ack, monotonicNowMs());
    }
  }

  async #end(): Promise<void> {
    const sentAtMs = monotonicNowMs();
    const answer = await this.#requests.ask('end', () => this.#lane.post(`/api/voice/session/${this.callId}/end`));
    if (answer) this.#context.stats.time('end', monotonicNowMs() - sentAtMs);
    this.#isOver = true;
  }
}
