import { randomUUID } from 'node:crypto';
import type { AudioFormat } from '../audio/codec.ts';
import { monotonicNowMs } from '../clock.ts';
import type { TraceContext } from '../traces/context.ts';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { InterruptVerdict, OpenItem, ToolCall, ToolResult } from '../upstream/host.ts';
import type { CallEvents, CallInfo, SessionState } from './call-info.ts';
import type { AudioReceiver, DownStream, DownStreamRequest } from './duplex/down-stream.ts';
import type { AudioSender, UpStream, UpStreamRequest } from './duplex/up-stream.ts';
import type { EndReason } from './end-reason.ts';
import { sessionNotFound } from './errors.ts';
import { CallLife, type CallOrigin, type LifeListener } from './life.ts';
import { type CallMark, type CallNews, type LiveCall, PHASE_EVENTS, phaseOf } from './live-call.ts';
import type { CallParts } from './parts.ts';
import type { CallObserver } from './record/observer.ts';
import type { Summary } from './record/record.ts';
import { tracedCall } from './record/traced.ts';
import type { ClientReport, Delivery } from './reply/deliveries.ts';
import type { CallAction, TakeOptions } from './reply/outbox.ts';
import type { Departure } from './reply/poll-wait.ts';
import type { SessionDeps, SessionSetup } from './setup.ts';
import { type CallSnapshot, takeSnapshot } from './snapshot.ts';
import type { IncomingChunk } from './up/chunk.ts';

/** Told of the end of a session. */
export interface SessionListener {
  /** It has its summary. Called once; resolves when the summary is safe. */
  onConcluded(session: Session): Promise<void>;
  /** Something has changed that a process that takes the call up would have to know. */
  onChanged(session: Session): void;
  /** Something is about to be done that must not be done twice. @returns whether it is this process's to do */
  mayAct(session: Session): Promise<boolean>;
}

/** One call: what its client sends goes up, what the AI says comes down, until one of them ends it. */
export class Session {
  /** Unique among all sessions ever; two calls with the same `callId` differ in it. */
  readonly id: string;
  readonly setup: SessionSetup;
  readonly #life: CallLife;
  readonly #parts: CallParts;
  #endedByClient = false;

  /** @param origin absent: the call begins */
  constructor(setup: SessionSetup, deps: SessionDeps, listener: SessionListener, origin?: CallOrigin) {
    this.id = origin?.snapshot.sessionId ?? randomUUID();
    this.setup = setup;
    const told: LifeListener = {
      onOver: (durationMs, error) =>
        deps.traces.ended(this.trace, (context) => tracedCall(this, context, durationMs, error)),
      onConcluded: () => listener.onConcluded(this),
      onChanged: () => listener.onChanged(this),
      mayAct: () => listener.mayAct(this),
    };
    this.#life = new CallLife(this.id, setup, deps, told, origin);
    this.#parts = this.#life.parts;
  }

  get observer(): CallObserver {
    return this.#parts.observer;
  }

  /** Its place in a trace, for what is asked in its name; undefined: it has none. */
  get trace(): TraceContext | undefined {
    return this.#parts.trace;
  }

  get state(): SessionState {
    return this.#parts.standing.state;
  }

  get isOver(): boolean {
    return this.#parts.standing.isOver;
  }

  /** Why the call could not go on, where it could not. */
  get error(): string | undefined {
    return this.#parts.standing.error;
  }

  get generation(): number {
    return this.#parts.replyPath.generation;
  }

  get nextChunkSeq(): number {
    return this.#parts.uplink.nextChunkSeq;
  }

  /** Milliseconds of reply audio not yet known to have arrived. */
  get queuedAudioMs(): number {
    return this.#parts.replyPath.outbox.queuedAudioMs;
  }

  /** The worker thread that holds the conversation; undefined while none does. */
  get workerId(): number | undefined {
    return this.#parts.upstream.workerId;
  }

  /** The action that handed the call on, if one did. */
  get transferred(): CallAction | undefined {
    return this.#life.transferred;
  }

  get createdAt(): Date {
    return this.#life.createdAt;
  }

  /** When the call ended; undefined while it goes on. */
  get endedAt(): Date | undefined {
    return this.#life.endedAt;
  }

  get summary(): Summary | undefined {
    return this.#life.summary;
  }

  /** The format of its audio where nobody says otherwise. */
  get format(): AudioFormat {
    return this.setup.formats.call;
  }

  /** Streamed connections, by direction. */
  get streamCounts(): { readonly up: number; readonly down: number } {
    return this.#parts.streams.counts;
  }

  /**
   * Connects to the upstream.
   * @throws {CallError} `upstream_refused`, `upstream_timeout`, `internal`; `session_not_found` when it was ended meanwhile
   */
  open(timeoutMs: number): Promise<void> {
    return this.#life.open(timeoutMs);
  }

  /** Looks at the clock: idle, silent, too long, over. Called about once a second. */
  tick(nowMs: number): void {
    this.#life.tick(nowMs);
  }

  /**
   * Ends the session; what is queued for the client is still delivered. Idempotent.
   * @param error a sentence for the client, where the call could not go on
   */
  finish(reason: EndReason, error?: string): void {
    this.#life.finish(reason, error);
  }

  /** Whether an ended session has been kept long enough. */
  isForgotten(nowMs: number): boolean {
    return this.state === 'ended' && this.#parts.clock.isSummaryExpired(nowMs);
  }

  // Between processes

  /** What it needs to go on in another process. */
  snapshot(): CallSnapshot {
    return takeSnapshot(
      { id: this.id, setup: this.setup, createdAt: this.createdAt, ageMs: this.#life.ageMs },
      this.#parts,
    );
  }

  /** Goes on with a call that another process had. It takes requests at once. */
  resume(origin: CallOrigin): void {
    this.#life.resume(origin);
  }

  /** Ends a call that another process had, and that nobody asked for any more; resolves when its summary is safe. */
  concludeOrphan(origin: CallOrigin): Promise<void> {
    return this.#life.concludeOrphan(origin);
  }

  /** The call goes on in another process: nothing more is done for it here, and there is no summary. Idempotent. */
  letGo(): void {
    this.#life.letGo();
  }

  /** Whether nobody would hear it if the call went on elsewhere now. */
  get isQuiet(): boolean {
    return this.#life.isQuiet;
  }

  // What the client asks for

  /** A request to create this call is being answered, or its client has gone. */
  answered(who: 'client' | 'nobody'): void {
    if (who === 'client') this.#parts.clock.onClaimed();
    else this.#parts.clock.onAbandoned(monotonicNowMs());
  }

  async stream(chunk: IncomingChunk): Promise<void> {
    const { clock, uplink } = this.#parts;
    const nowMs = monotonicNowMs();
    clock.onRequest(nowMs);
    if (!this.isOver) await uplink.accept(chunk);
    // A call that ended by itself goes on taking chunks for a while: whoever sends them may not know yet.
    else if (this.state === 'ended' && (this.#endedByClient || clock.isOutboxExpired(nowMs))) throw this.#notFound();
  }

  consume(chunkSeq: number): void {
    if (!this.isOver) this.#parts.uplink.consume(chunkSeq);
  }

  report({ ack, playedMs, generation }: ClientReport): void {
    const { replyPath } = this.#parts;
    if (ack !== undefined) replyPath.outbox.acknowledge(ack);
    if (playedMs !== undefined) replyPath.reportPlayed(playedMs, generation);
  }

  deliver(query: TakeOptions): Delivery {
    this.#onRequest();
    this.#readByAnswers();
    return this.#parts.deliveries.now('stream', query);
  }

  async poll(query: TakeOptions, timeoutMs: number, client: Departure): Promise<Delivery> {
    this.#onRequest();
    this.#readByAnswers();
    const delivery = await this.#parts.deliveries.poll(query, timeoutMs, client);
    this.#onRequest();
    return delivery;
  }

  takeInterrupted(): boolean {
    return this.#parts.deliveries.takeInterrupted('stream');
  }

  giveBackInterrupted(): void {
    this.#parts.deliveries.giveBackInterrupted('stream');
  }

  openUp(request: UpStreamRequest, sender: AudioSender): UpStream {
    this.#arrived();
    return this.#parts.streams.openUp(request, sender);
  }

  openDown(request: DownStreamRequest, receiver: AudioReceiver): DownStream {
    this.#arrived();
    return this.#parts.streams.openDown(request, receiver);
  }

  left(stream: UpStream | DownStream): void {
    this.#onRequest();
    this.#parts.streams.left(stream);
    // Whoever polls is given what is left.
    this.#parts.deliveries.wake();
  }

  /** Ends the call, or repeats the summary of an ended one. */
  async end(): Promise<Summary> {
    const { guard, replyPath } = this.#parts;
    this.#endedByClient = true;
    guard.run(() => replyPath.outbox.acknowledge(undefined));
    this.finish('completed');
    await this.#life.conclude();
    return this.summary!;
  }

  info(): CallInfo {
    const { record, standing } = this.#parts;
    const { request, tenantId, aiAgentRef, formats } = this.setup;
    return {
      callId: request.callId,
      tenantId,
      status: this.state,
      createdAt: this.createdAt.toISOString(),
      lastActivity: this.#life.lastRequestAt.toISOString(),
      transcriptCount: record.transcript.lineCount,
      actionsCount: record.actions.length,
      aiAgentRef,
      encoding: formats.call.encoding,
      sampleRate: formats.call.sampleRateHz,
      generation: this.generation,
      queuedAudioMs: Math.round(this.queuedAudioMs),
      ...(standing.endReason ? { endReason: standing.endReason } : {}),
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
    return {
      sessionId: this.id,
      ...info,
      ...(callerNumber === undefined ? {} : { callerNumber }),
      ...(did === undefined ? {} : { did }),
      phase: phaseOf(timeline.last(PHASE_EVENTS)?.type, this.#parts.replyPath.isBusy(monotonicNowMs())),
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
    return { entries: this.observer.timeline.revision, lines: this.#parts.record.transcript.lines.revision };
  }

  /** What has happened since a mark; since undefined: everything that is kept. */
  news(since: CallMark = { entries: 0, lines: 0 }): CallNews {
    const { events, hasGap } = this.observer.timeline.since(since.entries);
    const lines = this.#parts.record.transcript.lines.since(since.lines);
    return { entries: events, hasGap, lines, mark: this.mark };
  }

  // What the session's worker asks for

  /** Whether the caller is being played something that may be interrupted. */
  isPlaying(items: readonly OpenItem[]): boolean {
    const { guard, interruptions } = this.#parts;
    return !this.isOver && (guard.run(() => interruptions.isPlaying(items)) ?? false);
  }

  /** Stops playback of what is unheard; `items` are those that the worker knows. */
  interrupt(items: readonly OpenItem[], startedAtMs: number): InterruptVerdict {
    const { guard, interruptions } = this.#parts;
    // What is left of a call that is over plays to its end.
    const nothing = { cuts: [], heard: [], isProtected: true };
    if (this.isOver) return nothing;
    return guard.run(() => interruptions.interrupt(items, startedAtMs)) ?? nothing;
  }

  runTool(call: ToolCall): Promise<ToolResult> {
    return this.#parts.tools.run(call);
  }

  history(): readonly ReplayItem[] {
    return this.#life.history();
  }

  // Inside

  #onRequest(): void {
    this.#parts.clock.onRequest(monotonicNowMs());
  }

  /** A streaming client is there. */
  #arrived(): void {
    if (this.state === 'ended') throw this.#notFound();
    this.#onRequest();
  }

  /** Answers carry the call's own format, whatever a stream before them was given. */
  #readByAnswers(): void {
    const { streams, replyPath } = this.#parts;
    if (!streams.isPlaying) replyPath.useFormat(this.format);
  }

  #notFound(): Error {
    return sessionNotFound(this.setup.request.callId, this.#parts.standing.whyOver);
  }
}
