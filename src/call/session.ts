import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { AudioFormat } from '../audio/codec.ts';
import type { LoadedProfile } from '../backend/profiles/agent-profiles.ts';
import { type CallValues, fillPlaceholders } from '../backend/profiles/instructions.ts';
import { transcriptionOf } from '../backend/profiles/upstream-fields.ts';
import { monotonicNowMs } from '../clock.ts';
import { CallCosts, type Costs } from '../costs/call-costs.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type TraceContext, traceHeaders } from '../traces/context.ts';
import type { Traces } from '../traces/traces.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import { isUnanswered, type ReplayItem } from '../upstream/conversation.ts';
import type { InterruptVerdict, OpenItem, ToolCall, ToolResult } from '../upstream/host.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import type { AudioPool } from '../workers/audio/pool.ts';
import { SILENCE_MS } from '../workers/session/silence.ts';
import type { SessionWorkers } from '../workers/session/workers.ts';
import type { CallEvents, CallInfo, SessionState } from './call-info.ts';
import type { AudioReceiver, DownStream, DownStreamRequest } from './duplex/down-stream.ts';
import type { Metronome } from './duplex/metronome.ts';
import { CallStreams } from './duplex/streams.ts';
import type { AudioSender, UpStream, UpStreamRequest } from './duplex/up-stream.ts';
import type { EndReason } from './end-reason.ts';
import { type CallError, sessionNotFound } from './errors.ts';
import { CallGuard } from './guard.ts';
import { type CallMark, type CallNews, type LiveCall, PHASE_EVENTS, phaseOf } from './live-call.ts';
import { recorderOf, type WriteRecording } from './record/call-recording.ts';
import { CallObserver } from './record/observer.ts';
import { CallRecord, type Summary } from './record/record.ts';
import type { CallRecorder } from './record/recorder.ts';
import { tracedCall } from './record/traced.ts';
import { type ClientReport, Deliveries, type Delivery } from './reply/deliveries.ts';
import type { Fillers } from './reply/fillers.ts';
import { Interruptions } from './reply/interruptions.ts';
import type { CallAction, TakeOptions } from './reply/outbox.ts';
import type { Departure } from './reply/poll-wait.ts';
import { ReplyPath, type ReplyPathOptions } from './reply/reply-path.ts';
import type { CallRequest } from './request.ts';
import { type CallLimits, SessionClock } from './session-clock.ts';
import { type CallFormats, conversationSettings, greetingOf, silenceBase64 } from './settings.ts';
import { CallTools } from './tools.ts';
import type { IncomingChunk } from './up/chunk.ts';
import { Uplink } from './up/uplink.ts';
import { toOpenError, UpstreamCall } from './upstream-call.ts';
import { UpstreamEvents } from './upstream-events.ts';

/** What all sessions of a gateway share. */
export interface SessionDeps {
  readonly pool: AudioPool;
  readonly metronome: Metronome;
  readonly fillers: Fillers;
  /** Absent: nothing is recorded. */
  readonly writeRecording?: WriteRecording | undefined;
  readonly workers: SessionWorkers;
  readonly metrics: Metrics;
  readonly reconnect: ReconnectPolicy;
  /** Most reply audio a call may have queued; past that the reply is cancelled. */
  readonly maxOutboxMs: number;
  /** Silence after which a caller who waits for a lost answer is played the filler; absent: its default. */
  readonly fillerAfterMs?: number | undefined;
  readonly limits: CallLimits;
  /** How long an early chunk waits for the missing one. */
  readonly reorderWaitMs?: number | undefined;
  readonly defaultModel: string;
  readonly costs: Costs;
  readonly traces: Traces;
  /** Whether a session whose worker died goes on with another. */
  readonly survivesWorkerLoss: boolean;
}

/** What makes one session. */
export interface SessionSetup {
  readonly tenantId: string;
  readonly aiAgentRef: string;
  readonly request: CallRequest;
  readonly profile: LoadedProfile;
  readonly formats: CallFormats;
  readonly target: UpstreamTarget;
  readonly log: Logger;
  /** Called once, when the session has its summary; resolves when the summary is safe. */
  readonly onConcluded: (session: Session) => Promise<void>;
}

/** One call: what its client sends goes up, what the AI says comes down, until one of them ends it. */
export class Session {
  /** Unique among all sessions ever; two calls with the same `callId` differ in it. */
  readonly id = randomUUID();
  readonly setup: SessionSetup;
  readonly createdAt = new Date();
  readonly #createdAtMs = monotonicNowMs();
  readonly observer: CallObserver;
  readonly record: CallRecord;
  /** Its place in a trace, for what is asked in its name; undefined: it has none. */
  readonly trace: TraceContext | undefined;
  readonly #deps: SessionDeps;
  /** Absent: the call is not recorded. */
  readonly #recorder: CallRecorder | undefined;
  readonly #replies: ReplyPath;
  readonly #uplink: Uplink;
  readonly #upstream: UpstreamCall;
  readonly #events: UpstreamEvents;
  readonly #tools: CallTools;
  readonly #interruptions: Interruptions;
  readonly #deliveries: Deliveries;
  readonly #clock: SessionClock;
  readonly #streams: CallStreams;
  readonly #guard = new CallGuard((error) => this.#onDefect(error));
  #state: SessionState = 'creating';
  #endReason: EndReason | undefined;
  #error: string | undefined;
  /** How long the call lasted, once it is over. */
  #durationMs: number | undefined;
  #endedByClient = false;
  /** Everything that is still to be delivered is in the outbox. */
  #isHandedOver = false;
  #summary: Summary | undefined;
  #transferred: CallAction | undefined;
  /** The transfer to the fallback, on its way to the client. */
  #fallback: { readonly id: string; readonly onDelivered: () => void } | undefined;
  #concluded: Promise<void> = Promise.resolve();

  constructor(setup: SessionSetup, deps: SessionDeps) {
    this.setup = setup;
    this.#deps = deps;
    const { pool } = deps;
    const { formats, log, profile } = setup;
    this.trace = deps.traces.begin(setup.request);
    const costs = new CallCosts(
      {
        tenantId: setup.tenantId,
        aiAgentRef: setup.aiAgentRef,
        model: profile.model ?? deps.defaultModel,
        transcriptionModel: transcriptionOf(profile)?.model,
        startedAtMs: this.createdAt.getTime(),
      },
      deps.costs,
      deps.metrics,
    );
    this.observer = new CallObserver(deps.metrics, log, costs);
    this.#recorder = this.#newRecorder();
    this.#replies = new ReplyPath({
      newLane: (call, upstream = formats.upstream) => pool.downlinkLane({ kind: 'down', call, upstream }),
      format: formats.call,
      observer: this.observer,
      recorder: this.#recorder,
      guard: this.#guard,
      maxOutboxMs: deps.maxOutboxMs,
      filler: this.#filler,
      onProgress: (itemId) => this.record.replies.settle(itemId),
      onSpoken: () => this.#clock.onAgentSpoke(),
      onActionDelivered: (action) => this.#onActionDelivered(action),
      onChange: () => this.#deliveries.wake(),
      onBacklog: (itemId, keptMs) => this.#upstream.command({ type: 'cancel_reply', itemId, keptMs }),
    });
    const { ledger, outbox, downlink } = this.#replies;
    this.record = new CallRecord(ledger, (line) => outbox.pushTranscript(line));
    this.#uplink = new Uplink({
      newLane: (call = formats.call) =>
        pool.uplinkLane({
          kind: 'up',
          call,
          upstream: formats.upstream,
          measureVoice: (profile.minInterruptionMs ?? 0) > 0,
        }),
      keepAudioMs: deps.reconnect.keepAudioMs,
      reorderWaitMs: deps.reorderWaitMs,
      onDtmf: (digits) => this.#onDtmf(digits),
      onAudio: (audioMs) => this.#onCallerAudio(audioMs),
      onPiece: this.#recorder && ((piece) => this.#recorder?.callerSaid(piece, formats.upstream)),
      guard: this.#guard,
      onRejected: (reason) => this.observer.chunkRejected(reason),
      onSkipped: (count) => this.observer.chunksMissing(count),
    });
    this.#clock = new SessionClock(deps.limits, profile, monotonicNowMs());
    this.#events = new UpstreamEvents({
      record: this.record,
      observer: this.observer,
      clock: this.#clock,
      onSpeech: () => this.#replies.filler?.stop(),
      onLost: (isAnswerDue) => {
        if (isAnswerDue) this.#replies.filler?.await();
      },
      onFailed: (code, message) => this.finish('upstream_failed', `the AI failed (${code}): ${message}`),
    });
    this.#upstream = new UpstreamCall(this.id, deps.workers, this.#uplink, {
      onEvent: (event) => this.#events.handle(event),
      onAudio: (audio) => downlink.accept(audio),
      onWorkerLost: (error) => this.#guard.watch(this.#onWorkerLost(error)),
      onFailed: (error) => this.#guard.failed(error),
    });
    this.#tools = new CallTools({
      profile,
      values: this.#values,
      headers: traceHeaders(this.trace),
      record: this.record,
      log,
      said: (toolCallId) => downlink.said(toolCallId),
      queueAction: (action) => outbox.pushAction(action),
      onFinished: (name, outcome, durationMs) => this.observer.toolFinished(name, outcome, durationMs),
    });
    this.#streams = new CallStreams({
      uplink: this.#uplink,
      replies: this.#replies,
      observer: this.observer,
      metronome: deps.metronome,
      isCallOver: () => this.#isHandedOver || this.#state === 'ended',
    });
    this.#interruptions = new Interruptions({
      ledger,
      outbox,
      downlink,
      replies: this.record.replies,
      recorder: this.#recorder,
      tools: this.#tools,
      player: this.#streams,
      onInterrupted: (startedAtMs, heardMs) => {
        this.#replies.filler?.stop();
        this.#deliveries.interrupted();
        this.observer.interrupted(this.generation, startedAtMs, heardMs);
      },
    });
    this.#deliveries = new Deliveries({
      outbox,
      guard: this.#guard,
      standing: () => ({
        isOver: this.#isHandedOver || this.#state === 'ended',
        endReason: this.#endReason,
        error: this.#error,
      }),
      isStreamed: () => this.#streams.isPlaying,
      onAudio: (entries) => this.observer.replyHandedOver(entries, monotonicNowMs()),
      onLastAnswer: () => this.#guard.watch(this.#conclude()),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  get isOver(): boolean {
    return this.#state === 'ending' || this.#state === 'ended';
  }

  get generation(): number {
    return this.#replies.outbox.generation;
  }

  get nextChunkSeq(): number {
    return this.#uplink.nextChunkSeq;
  }

  /** Milliseconds of reply audio not yet known to have arrived. */
  get queuedAudioMs(): number {
    return this.#replies.outbox.queuedAudioMs;
  }

  /** The worker thread that holds the conversation; undefined while none does. */
  get workerId(): number | undefined {
    return this.#upstream.workerId;
  }

  /** The action that handed the call on, if one did. */
  get transferred(): CallAction | undefined {
    return this.#transferred;
  }

  /** Why the call could not go on, where it could not. */
  get error(): string | undefined {
    return this.#error;
  }

  /** When the call ended; undefined while it goes on. */
  get endedAt(): Date | undefined {
    return this.#durationMs === undefined ? undefined : this.#wallAt(this.#durationMs);
  }

  get summary(): Summary | undefined {
    return this.#summary;
  }

  /**
   * Connects to the upstream.
   * @throws {CallError} `upstream_refused`, `upstream_timeout`
   */
  async open(timeoutMs: number): Promise<void> {
    try {
      await this.#connect(timeoutMs);
    } catch (error) {
      if (this.isOver) throw this.#endedWhileCreated();
      this.#state = 'ended';
      this.#uplink.close();
      this.#deliveries.wake();
      const failure = toOpenError(error, timeoutMs);
      this.#guard.run(() => this.#trace(failure.code));
      throw failure;
    }
    if (this.isOver) {
      await this.#upstream.close();
      throw this.#endedWhileCreated();
    }
    this.#state = 'active';
    if (this.#recorder && this.setup.profile.recording?.notice === 'beep') this.#guard.watch(this.#beep());
  }

  /** Tells the caller that the call is recorded. */
  async #beep(): Promise<void> {
    try {
      this.#replies.play('beep', await this.#deps.fillers.beep(this.format));
    } catch (error) {
      this.observer.fillerFailed(error as Error);
    }
  }

  #endedWhileCreated(): CallError {
    return sessionNotFound(this.setup.request.callId, 'it was ended before it was ready');
  }

  /** A request to create this call is being answered, or its client has gone. */
  answered(who: 'client' | 'nobody'): void {
    if (who === 'client') this.#clock.onClaimed();
    else this.#clock.onAbandoned(monotonicNowMs());
  }

  // What the client asks for

  async stream(chunk: IncomingChunk): Promise<void> {
    const nowMs = monotonicNowMs();
    this.#clock.onRequest(nowMs);
    if (!this.isOver) await this.#uplink.accept(chunk);
    // A call that ended by itself goes on taking chunks for a while: whoever sends them may not know yet.
    else if (this.#state === 'ended' && (this.#endedByClient || this.#clock.isOutboxExpired(nowMs))) {
      throw sessionNotFound(this.setup.request.callId, this.#whyOver());
    }
  }

  consume(chunkSeq: number): void {
    if (!this.isOver) this.#uplink.consume(chunkSeq);
  }

  report({ ack, playedMs, generation }: ClientReport): void {
    if (ack !== undefined) this.#replies.outbox.acknowledge(ack);
    if (playedMs === undefined || generation !== this.generation) return;
    const nowMs = monotonicNowMs();
    const { ledger } = this.#replies;
    ledger.report(playedMs, nowMs);
    this.#recorder?.playheadMoved(ledger.playheadMs(nowMs), nowMs);
  }

  deliver(query: TakeOptions): Delivery {
    this.#clock.onRequest(monotonicNowMs());
    this.#readByAnswers();
    return this.#deliveries.now('stream', query);
  }

  async poll(query: TakeOptions, timeoutMs: number, client: Departure): Promise<Delivery> {
    this.#clock.onRequest(monotonicNowMs());
    this.#readByAnswers();
    const delivery = await this.#deliveries.poll(query, timeoutMs, client);
    this.#clock.onRequest(monotonicNowMs());
    return delivery;
  }

  /** Answers carry the call's own format, whatever a stream before them was given. */
  #readByAnswers(): void {
    if (!this.#streams.isPlaying) this.#replies.useFormat(this.format);
  }

  takeInterrupted(): boolean {
    return this.#deliveries.takeInterrupted('stream');
  }

  giveBackInterrupted(): void {
    this.#deliveries.giveBackInterrupted('stream');
  }

  get format(): AudioFormat {
    return this.setup.formats.call;
  }

  openUp(request: UpStreamRequest, sender: AudioSender): UpStream {
    this.#arrived();
    return this.#streams.openUp(request, sender);
  }

  openDown(request: DownStreamRequest, receiver: AudioReceiver): DownStream {
    this.#arrived();
    return this.#streams.openDown(request, receiver);
  }

  left(stream: UpStream | DownStream): void {
    this.#clock.onRequest(monotonicNowMs());
    this.#streams.left(stream);
    // Whoever polls is given what is left.
    this.#deliveries.wake();
  }

  #arrived(): void {
    if (this.#state === 'ended') throw sessionNotFound(this.setup.request.callId, this.#whyOver());
    this.#clock.onRequest(monotonicNowMs());
  }

  /** Streamed connections, by direction. */
  get streamCounts(): { readonly up: number; readonly down: number } {
    return this.#streams.counts;
  }

  /** Ends the call, or repeats the summary of an ended one. */
  async end(): Promise<Summary> {
    this.#endedByClient = true;
    this.#guard.run(() => this.#replies.outbox.acknowledge(undefined));
    this.finish('completed');
    await this.#conclude();
    return this.#summary!;
  }

  info(): CallInfo {
    const { request, tenantId, aiAgentRef, formats } = this.setup;
    return {
      callId: request.callId,
      tenantId,
      status: this.#state,
      createdAt: this.createdAt.toISOString(),
      lastActivity: this.#wallAt(this.#ageMs - this.#clock.idleMs(monotonicNowMs())).toISOString(),
      transcriptCount: this.record.lineCount,
      actionsCount: this.record.actions.length,
      aiAgentRef,
      encoding: formats.call.encoding,
      sampleRate: formats.call.sampleRateHz,
      generation: this.generation,
      queuedAudioMs: Math.round(this.queuedAudioMs),
      ...(this.#endReason ? { endReason: this.#endReason } : {}),
    };
  }

  events(): CallEvents {
    const { callId, tenantId, aiAgentRef, encoding, sampleRate, status, createdAt, endReason } = this.info();
    return {
      callId,
      tenantId,
      sessionId: this.id,
      aiAgentRef,
      encoding,
      sampleRate,
      status,
      createdAt,
      ...(endReason ? { endReason } : {}),
      ...this.observer.report,
    };
  }

  /** As {@link info}, with what is looked at while a call goes on. */
  live(): LiveCall {
    const { lastActivity: _, ...info } = this.info();
    const { callerNumber, did } = this.setup.request;
    const { figures, timeline } = this.observer;
    const { lastTurnMs } = figures;
    const isPlaying = this.#replies.ledger.remainingMs(monotonicNowMs()) > 0 || !this.#replies.outbox.isEmpty;
    return {
      sessionId: this.id,
      ...info,
      ...(callerNumber === undefined ? {} : { callerNumber }),
      ...(did === undefined ? {} : { did }),
      phase: phaseOf(timeline.last(PHASE_EVENTS)?.type, isPlaying),
      turnCount: figures.turns,
      ...(lastTurnMs === undefined ? {} : { lastTurnMs: Math.round(lastTurnMs) }),
      interruptions: figures.interruptions,
      reconnects: figures.reconnects,
      faultCount: timeline.faultCount,
      ...(timeline.lastFault === undefined ? {} : { lastFault: timeline.lastFault }),
    };
  }

  /** Where it is now. */
  get mark(): CallMark {
    return { entries: this.observer.timeline.revision, lines: this.record.lines.revision };
  }

  /** What has happened since a mark; since undefined: everything that is kept. */
  news(since: CallMark = { entries: 0, lines: 0 }): CallNews {
    const { events, hasGap } = this.observer.timeline.since(since.entries);
    return { entries: events, hasGap, lines: this.record.lines.since(since.lines), mark: this.mark };
  }

  // What the session's worker asks for

  /** Whether the caller is being played something that may be interrupted. */
  isPlaying(items: readonly OpenItem[]): boolean {
    return !this.isOver && (this.#guard.run(() => this.#interruptions.isPlaying(items)) ?? false);
  }

  /** Stops playback of what is unheard; `items` are those that the worker knows. */
  interrupt(items: readonly OpenItem[], startedAtMs: number): InterruptVerdict {
    // What is left of a call that is over plays to its end.
    const nothing = { cuts: [], heard: [], isProtected: true };
    if (this.isOver) return nothing;
    return this.#guard.run(() => this.#interruptions.interrupt(items, startedAtMs)) ?? nothing;
  }

  runTool(call: ToolCall): Promise<ToolResult> {
    return this.#tools.run(call);
  }

  history(): readonly ReplayItem[] {
    return this.#guard.run(() => this.record.conversation.replay()) ?? [];
  }

  // The end

  /**
   * Ends the session; what is queued for the client is still delivered. Idempotent.
   * @param error a sentence for the client, where the call could not go on
   */
  finish(reason: EndReason, error?: string): void {
    if (this.isOver) return;
    this.#state = 'ending';
    this.#endReason = reason;
    this.#error = error;
    this.#durationMs = this.#ageMs;
    this.#clock.onEnded(monotonicNowMs());
    // Whatever is broken, the rest of the call is closed.
    this.#guard.run(() => this.observer.ending(reason, error));
    this.#guard.run(() => this.#uplink.close());
    this.#guard.run(() => this.#tools.close());
    this.#replies.filler?.stop();
    this.#guard.watch(this.#upstream.close());
    this.#guard.watch(this.#handOver(reason));
  }

  /** Something of this call threw where nothing may: it cannot go on. */
  #onDefect(error: Error): void {
    this.observer.defect(error);
    this.finish('upstream_failed', 'this call could not go on because of a failure in the gateway');
  }

  /** Looks at the clock: idle, silent, too long, over. Called about once a second. */
  tick(nowMs: number): void {
    this.#guard.run(() => this.#tick(nowMs));
  }

  #tick(nowMs: number): void {
    if (this.#state === 'active' || this.#state === 'ending') this.#recorder?.tick(nowMs);
    const isOutboxOver = this.#clock.isOutboxExpired(nowMs) || this.#clock.isAbandoned(nowMs);
    if (this.#state === 'ending' && isOutboxOver) this.#guard.watch(this.#conclude());
    if (this.#state !== 'active') return;
    // A poll that waits is a client that is there.
    const heardOfAtMs = this.#deliveries.isAwaited ? nowMs : this.#streams.heardOfAtMs(nowMs);
    if (heardOfAtMs !== undefined) this.#clock.onRequest(heardOfAtMs);
    const isBusy =
      this.#replies.ledger.remainingMs(nowMs) > 0 || !this.#replies.outbox.isEmpty || this.record.isToolRunning;
    const due = this.#clock.due(nowMs, isBusy);
    if (due === undefined) return;
    if (due.type === 'prompt') {
      this.observer.noInput(due.count);
      const instructions = fillPlaceholders(due.instructions, this.#values);
      this.#upstream.command({ type: 'prompt', instructions });
    } else {
      const isUnattended = this.#clock.isUnattended(nowMs);
      this.finish(due.reason, due.why);
      // What is queued waits for whoever may come for it.
      if (isUnattended) void this.#conclude();
    }
  }

  /** Sends the call to its fallback where there is one, and concludes where nothing is left to deliver. */
  async #handOver(reason: EndReason): Promise<void> {
    await this.#replies.drained();
    if (this.#state !== 'ending') return;
    const { fallbackExtension } = this.setup.profile;
    if (reason === 'upstream_failed' && fallbackExtension !== undefined) {
      const action: CallAction = {
        id: randomUUID(),
        type: 'transfer',
        extension: fallbackExtension,
        reason: 'the AI is not available',
      };
      const { id, ...args } = action;
      this.#fallback = { id, onDelivered: this.record.doneByGateway('transfer_to_extension', args) };
      this.#replies.outbox.pushAction(action);
    }
    this.#isHandedOver = true;
    this.#deliveries.wake();
    if (this.#replies.outbox.isEmpty) await this.#conclude();
  }

  #trace(error: string | undefined): void {
    this.#deps.traces.ended(this.trace, (context) => tracedCall(this, context, this.#durationMs ?? this.#ageMs, error));
  }

  /** Makes the summary, once; resolves when it is safe. */
  #conclude(): Promise<void> {
    if (this.#state === 'ended') return this.#concluded;
    this.#state = 'ended';
    const nowMs = monotonicNowMs();
    // Whatever is broken, there is a summary, of as much as can be told.
    this.#guard.run(() => this.record.replies.settleAll(nowMs));
    this.#durationMs ??= this.#ageMs;
    const durationMs = Math.round(this.#durationMs);
    const { callId } = this.setup.request;
    const endReason = this.#endReason ?? 'completed';
    const told = this.#guard.run(() => this.record.summary(callId, durationMs, endReason)) ?? {
      callId,
      duration: durationMs,
      transcript: [],
      actions: [],
      endReason,
    };
    const summary = { ...told, aiAgentRef: this.setup.aiAgentRef, usage: this.observer.usage };
    this.#summary = summary;
    this.#guard.run(() => this.#streams.close());
    this.#guard.run(() => this.#recorder?.close(nowMs, this.#replies.ledger.playheadMs(nowMs)));
    this.#guard.run(() => this.#replies.outbox.close());
    this.#clock.onEnded(nowMs);
    this.#guard.run(() => this.observer.ended(summary, this.#error));
    this.#guard.run(() => this.#trace(this.#error));
    this.#concluded = this.setup.onConcluded(this);
    return this.#concluded;
  }

  /** Whether an ended session has been kept long enough. */
  isForgotten(nowMs: number): boolean {
    return this.#state === 'ended' && this.#clock.isSummaryExpired(nowMs);
  }

  #whyOver(): string {
    return `its session has ended (${this.#endReason ?? 'completed'}${this.#error ? `: ${this.#error}` : ''})`;
  }

  // Inside

  get #ageMs(): number {
    return monotonicNowMs() - this.#createdAtMs;
  }

  /** A time of the call for people to read. It follows from the call's begin, so that times and durations agree. */
  #wallAt(ageMs: number): Date {
    return new Date(this.createdAt.getTime() + Math.max(0, ageMs));
  }

  get #values(): CallValues {
    const { request, tenantId, aiAgentRef } = this.setup;
    const { callId, storeId, callerNumber, did } = request;
    return { callId, tenantId, aiAgentRef, storeId, callerNumber, did };
  }

  #connect(timeoutMs: number, replay?: readonly ReplayItem[]): Promise<void> {
    const { profile, formats, target } = this.setup;
    return this.#upstream.open(
      {
        target,
        settings: conversationSettings(profile, this.#deps.defaultModel, formats.upstreamType, this.#values),
        policy: this.#deps.reconnect,
        greeting: greetingOf(profile, this.#values),
        minInterruptionMs: profile.minInterruptionMs ?? 0,
        replay,
        silence: silenceBase64(formats.upstream, SILENCE_MS),
      },
      timeoutMs,
    );
  }

  async #onWorkerLost(error: Error): Promise<void> {
    const lostAtMs = monotonicNowMs();
    this.observer.workerLost(error);
    // A session that is still being created fails with its creation.
    if (this.isOver || this.#state === 'creating') return;
    this.#replies.downlink.endAll();
    if (!this.#deps.survivesWorkerLoss) {
      this.finish('upstream_failed', 'the session worker of this call died');
      return;
    }
    this.record.giveUpTranscripts();
    const history = this.history();
    this.#clock.onUpstream(false, lostAtMs);
    if (this.#upstream.isCutShort || isUnanswered(history) || this.record.isToolRunning) this.#replies.filler?.await();
    const { maxOutageMs } = this.#deps.reconnect;
    const { workersLost } = this.#upstream;
    try {
      await this.#connect(maxOutageMs, history);
      this.#clock.onUpstream(true, monotonicNowMs());
      this.observer.workerReplaced(monotonicNowMs() - lostAtMs);
    } catch (cause) {
      // A worker that died under this attempt has had the next one begun.
      if (this.#upstream.workersLost > workersLost) return;
      this.finish('upstream_failed', toOpenError(cause, maxOutageMs).details.why);
    }
  }

  #onCallerAudio(audioMs: number): void {
    this.#clock.onCallerAudio();
    this.observer.callerAudio(audioMs);
  }

  #onDtmf(digits: string): void {
    this.observer.dtmf(digits.length);
    this.#clock.onCallerActive(monotonicNowMs());
    this.#upstream.command({ type: 'dtmf', digits });
  }

  #newRecorder(): CallRecorder | undefined {
    const { writeRecording } = this.#deps;
    if (!this.setup.profile.recording || !writeRecording) return undefined;
    return recorderOf({ ...this.setup, id: this.id, createdAt: this.createdAt }, writeRecording, this.observer);
  }

  get #filler(): ReplyPathOptions['filler'] {
    const { profile, formats } = this.setup;
    const { fillerFile } = profile;
    if (fillerFile === undefined) return undefined;
    return { load: () => this.#deps.fillers.load(fillerFile, formats.call), afterMs: this.#deps.fillerAfterMs };
  }

  #onActionDelivered(action: CallAction): void {
    if (action.type === 'transfer') this.#transferred = action;
    if (action.id === this.#fallback?.id) this.#fallback.onDelivered();
    this.#tools.settleAction(action.id, true);
    this.observer.actionDelivered(action.type);
    this.finish(action.type === 'transfer' ? 'transferred' : 'agent_hangup');
  }
}
