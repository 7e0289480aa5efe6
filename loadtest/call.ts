import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicNowMs } from '../src/clock.ts';
import type { SearchBudget } from './continuity.ts';
import { HttpLane, type LaneAnswer } from './http-lane.ts';
import { Listener } from './listener.ts';
import type { GeneratorJob } from './protocol.ts';
import type { Recording } from './recording.ts';
import { type Answer, ask, type Outcome, type RequestKind } from './requests.ts';
import { ChunkSchedule } from './schedule.ts';
import { checkLines, type ExpectedLines } from './script-lines.ts';
import type { Stats } from './stats.ts';

/** A chunk that should have been sent this long ago is not sent any more, as FreeSWITCH would not. */
const TOO_OLD_MS = 2_000;
/** How much speech a caller wants to have at hand, as in the FreeSWITCH script. */
const AHEAD_MS = 3_000;
/** How long a call goes on for what is still to be heard of it. */
const DRAIN_MS = 5_000;
/** Scripted calls: how long the caller waits in silence for the last reply. */
const LAST_REPLY_MS = 8_000;
/** An answerless poll may come this late after its timeout. */
const POLL_SLACK_MS = 100;
const RETRY_PAUSE_MS = 100;

/** What all calls of a generator share. */
export interface CallContext {
  readonly job: GeneratorJob;
  readonly stats: Stats;
  readonly lookAheadMs: number;
  readonly budget: SearchBudget;
  readonly expectedLines: ReadonlyMap<string, ExpectedLines>;
  /** When calls are to end; it may come closer. */
  readonly stopMs: () => number;
}

/** One caller on the telephone: creates a session, plays a recording into it, hears what comes, and ends it. */
export class Call {
  readonly #context: CallContext;
  readonly #recording: Recording;
  readonly #listener: Listener;
  readonly #callId: string;
  readonly #phaseMs: number;
  readonly #lane: HttpLane;
  readonly #pollLane: HttpLane | undefined;
  readonly #lines: string[] = [];
  readonly #firstChunk: number;
  #chunkSeq = 0;
  #ack = -1;
  #generation = 0;
  #isOver = false;
  #isSilent = false;
  #endsAtMs = 0;

  constructor(context: CallContext, recording: Recording, callId: string, index: number, phaseMs: number) {
    this.#context = context;
    this.#recording = recording;
    this.#callId = callId;
    this.#phaseMs = phaseMs;
    const { job } = context;
    // Not all callers say the same at the same time; a script is read from its beginning.
    this.#firstChunk = job.expectation === 'scripted' ? 0 : (index * 7919) % recording.chunks.length;
    this.#listener = new Listener({ ...context, recording, firstChunk: this.#firstChunk });
    const lane = {
      origin: job.origin,
      keepAlive: job.keepAlive,
      headers: job.headers,
      timeoutMs: job.requestTimeoutMs,
    };
    this.#lane = new HttpLane(lane);
    this.#pollLane = job.mode === 'longpoll' ? new HttpLane(lane) : undefined;
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
      await this.#drain();
      const wasCut = monotonicNowMs() >= stopMs();
      await this.#end();
      await polling;
      this.#listener.finish();
      this.#checkLines(wasCut);
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
      callId: this.#callId,
      callerNumber: '393297626144',
      encoding: job.format.encoding,
      sampleRate: job.format.sampleRateHz,
      ...(job.aiAgentRef === undefined ? {} : { aiAgentRef: job.aiAgentRef }),
    };
    const sentAtMs = monotonicNowMs();
    const answer = await this.#ask('create', () =>
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
      } else if (next > 0) stats.count('heldBack');
      await this.#sendChunk(next, dueMs);
      schedule.advance();
      if (job.mode === 'poll1' && monotonicNowMs() > schedule.dueMs) stats.count('latePolls');
    }
  }

  /** When sending ends: with the run, after the call's length, or once a scripted call has nothing more to wait for. */
  #stopMs(nextChunk: number): number {
    const { job, stopMs } = this.#context;
    const endMs = Math.min(stopMs(), this.#endsAtMs);
    if (job.expectation !== 'scripted') return endMs;
    const left = nextChunk - this.#recording.chunks.length;
    if (left < 0) return endMs;
    this.#isSilent = true;
    return left * job.chunkMs > LAST_REPLY_MS || this.#hasHeardAll() ? 0 : endMs;
  }

  async #sendChunk(number: number, dueMs: number): Promise<void> {
    const { job, stats } = this.#context;
    const post = this.#chunkRequest(number);
    const sentAtMs = monotonicNowMs();
    this.#listener.sent(sentAtMs);
    stats.count('chunks');
    const answer = await this.#askStream(post);
    const nowMs = monotonicNowMs();
    stats.time('stream', nowMs - sentAtMs);
    stats.time('response', nowMs - dueMs);
    if (!answer) return;
    if (job.mode === 'poll1') this.#take(answer, nowMs);
    else if (answer.generation !== undefined) this.#noteGeneration(answer.generation);
  }

  /** The request that sends a chunk of the recording, or of silence behind its end. */
  #chunkRequest(number: number): () => Promise<LaneAnswer> {
    const { job } = this.#context;
    const { chunks, base64, silence } = this.#recording;
    const at = (this.#firstChunk + number) % chunks.length;
    const path = `/api/voice/stream/${this.#callId}${job.mode === 'poll1' ? `?poll=1&${this.#deliveryQuery()}` : ''}`;
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
      const path = `/api/voice/stream/${this.#callId}/response?timeout=${job.pollTimeoutMs}&${this.#deliveryQuery()}`;
      const sentAtMs = monotonicNowMs();
      const answer = await this.#ask('poll', () => lane.get(path, job.pollTimeoutMs));
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
      this.#take(answer, nowMs);
    }
  }

  #deliveryQuery(): string {
    const nowMs = monotonicNowMs();
    const room = Math.max(60, Math.round(AHEAD_MS - this.#listener.playout.remainingMs(nowMs)));
    const playedMs = Math.round(this.#listener.playout.playedMs(nowMs));
    return `ack=${this.#ack}&maxMs=${room}&generation=${this.#generation}&playedMs=${playedMs}`;
  }

  #take(answer: Answer, nowMs: number): void {
    if (answer.generation !== undefined) this.#noteGeneration(answer.generation);
    if (answer.audio !== undefined) this.#listener.hear(Buffer.from(answer.audio, 'base64'), nowMs);
    if (answer.transcript !== undefined) this.#lines.push(...answer.transcript.split('\n'));
    if (answer.seq !== undefined) this.#ack = Math.max(this.#ack, answer.seq);
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
    if (endReason === undefined || ['completed', 'agent_hangup', 'transferred'].includes(endReason)) return;
    const { stats } = this.#context;
    stats.count('callsLost');
    stats.error(`call ${endReason}`);
    stats.note(`${this.#callId} was ended by the gateway: ${endReason}${error ? ` (${error})` : ''}`);
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
      const path = `/api/voice/stream/${this.#callId}/response?timeout=300&${this.#deliveryQuery()}`;
      const answer = await this.#ask('poll', () => this.#lane.get(path, 300));
      if (answer) this.#take(answer, monotonicNowMs());
    }
  }

  async #end(): Promise<void> {
    const sentAtMs = monotonicNowMs();
    const answer = await this.#ask('end', () => this.#lane.post(`/api/voice/session/${this.#callId}/end`));
    if (answer) this.#context.stats.time('end', monotonicNowMs() - sentAtMs);
    this.#isOver = true;
  }

  // What was said

  #hasHeardAll(): boolean {
    const { expectedLines } = this.#context;
    const expected = expectedLines.get(this.#recording.name);
    return expected !== undefined && checkLines(this.#lines, expected, []).missing.length === 0;
  }

  #checkLines(wasCut: boolean): void {
    const { expectedLines, stats, job } = this.#context;
    const expected = expectedLines.get(this.#recording.name);
    if (job.expectation !== 'scripted' || !expected) return;
    const { missing, foreign, unknown } = checkLines(this.#lines, expected, expectedLines.values());
    stats.count('linesChecked', this.#lines.length);
    stats.count('foreignLines', foreign.length);
    stats.count('unknownLines', unknown.length);
    for (const line of [...foreign, ...unknown])
      stats.note(`${this.#callId} (${this.#recording.name}) heard "${line}"`);
    if (wasCut) return;
    stats.count('missingLines', missing.length);
    for (const line of missing) stats.note(`${this.#callId} (${this.#recording.name}) never heard "${line}"`);
  }

  // Requests

  /** Sends a request; what fails is counted. Returns undefined when there is nothing to go on with. */
  async #ask(kind: RequestKind, request: () => Promise<LaneAnswer>): Promise<Answer | undefined> {
    this.#context.stats.count('requests');
    const outcome = await ask(kind, request);
    if (outcome.type === 'answered') return outcome.answer;
    if (outcome.type === 'unanswered') this.#context.stats.error(outcome.error);
    else await this.#onRefused(kind, outcome);
    return undefined;
  }

  /** Sends a chunk; its number makes it safe to send again what may have arrived. */
  async #askStream(request: () => Promise<LaneAnswer>): Promise<Answer | undefined> {
    const { stats } = this.#context;
    for (let attempt = 0; attempt < 2; attempt++) {
      stats.count('requests');
      const outcome = await ask('stream', request);
      // A 503 leaves the number free; anything else has used it, or may have.
      if (outcome.type !== 'refused' || outcome.status !== 503) {
        if (outcome.type !== 'unanswered' || attempt > 0) this.#chunkSeq += 1;
      }
      if (outcome.type === 'answered') return outcome.answer;
      if (outcome.type === 'refused') {
        await this.#onRefused('stream', outcome);
        return undefined;
      }
      stats.error(outcome.error);
    }
    return undefined;
  }

  async #onRefused(kind: RequestKind, { status, error, why }: Extract<Outcome, { type: 'refused' }>): Promise<void> {
    const { stats } = this.#context;
    const isUnknown = status === 404 && kind !== 'create';
    // The agent hung up while a chunk was under way; the poll beside it is just being told.
    if (isUnknown && this.#pollLane && !this.#isOver) await sleepMs(RETRY_PAUSE_MS);
    if (isUnknown && this.#isOver) return;
    stats.error(error);
    if (why) stats.note(`${this.#callId} ${kind}: ${why}`);
    if (kind === 'stream') {
      stats.count('refused');
      this.#listener.refused();
    }
    if (!isUnknown) return;
    this.#isOver = true;
    stats.count('callsLost');
  }
}

/** Timers have whole milliseconds: rounded up, so that nothing is early. */
function sleepMs(ms: number): Promise<void> {
  return sleep(Math.ceil(ms));
}
