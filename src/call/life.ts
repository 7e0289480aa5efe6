import { randomUUID } from 'node:crypto';
import { fillPlaceholders } from '../backend/profiles/instructions.ts';
import { monotonicNowMs } from '../clock.ts';
import { isUnanswered, type ReplayItem } from '../upstream/conversation.ts';
import type { EndReason } from './end-reason.ts';
import { type CallError, sessionNotFound } from './errors.ts';
import { type CallListener, CallParts } from './parts.ts';
import type { Summary } from './record/record.ts';
import type { CallAction } from './reply/outbox.ts';
import { callValues, openRequest, type SessionDeps, type SessionSetup } from './setup.ts';
import { type CallSnapshot, restore } from './snapshot.ts';
import { toOpenError } from './upstream-call.ts';

/** Told of the end of a call. */
export interface LifeListener {
  /** Nothing more happens on it; `error`: why it could not go on, or not even begin. */
  onOver(durationMs: number, error: string | undefined): void;
  /** It has its summary. Called once; resolves when the summary is safe. */
  onConcluded(): Promise<void>;
  /** Something has changed that a process that takes the call up would have to know. */
  onChanged(): void;
  /** Something is about to be done that must not be done twice. @returns whether it is this process's to do */
  mayAct(): Promise<boolean>;
}

/** What is on the timeline when a call has changed in a way that is worth keeping. */
const CHANGES = new Set([
  'ready',
  'first_chunk',
  'dtmf',
  'transcribed',
  'transcription_failed',
  'speech_ignored',
  'response_started',
  'response_done',
  'handed_over',
  'interrupted',
  'tool',
  'action',
  'taken_over',
]);

/** Where a call comes from that another process had. */
export interface CallOrigin {
  readonly snapshot: CallSnapshot;
  readonly reason: 'node_died' | 'handed_over';
  /** Since the snapshot was saved. */
  readonly savedMsAgo: number;
  /** Since the other process was last heard of. */
  readonly silentMs: number;
}

/** One call's life: it is opened, goes on while it has an upstream and a client, and ends once, with a summary. */
export class CallLife implements CallListener {
  readonly parts: CallParts;
  readonly createdAt: Date;
  readonly #createdAtMs: number;
  readonly #setup: SessionSetup;
  readonly #deps: SessionDeps;
  readonly #listener: LifeListener;
  /** How long the call lasted, once it is over. */
  #durationMs: number | undefined;
  #summary: Summary | undefined;
  #transferred: CallAction | undefined;
  /** The transfer to the fallback, on its way to the client. */
  #fallback: { readonly id: string; readonly onDelivered: () => void } | undefined;
  #concluded: Promise<void> = Promise.resolve();

  /** @param origin absent: the call begins */
  constructor(id: string, setup: SessionSetup, deps: SessionDeps, listener: LifeListener, origin?: CallOrigin) {
    const nowMs = monotonicNowMs();
    this.createdAt = origin ? new Date(origin.snapshot.createdAt) : new Date();
    this.#createdAtMs = origin ? nowMs - origin.snapshot.ageMs - origin.savedMsAgo : nowMs;
    this.#setup = setup;
    this.#deps = deps;
    this.#listener = listener;
    this.parts = new CallParts(id, setup, deps, { at: this.createdAt, atMs: this.#createdAtMs }, this);
  }

  /** When the call ended; undefined while it goes on. */
  get endedAt(): Date | undefined {
    return this.#durationMs === undefined ? undefined : this.#wallAt(this.#durationMs);
  }

  /** When its client last asked for anything. */
  get lastRequestAt(): Date {
    return this.#wallAt(this.#ageMs - this.parts.clock.idleMs(monotonicNowMs()));
  }

  get summary(): Summary | undefined {
    return this.#summary;
  }

  /** The action that handed the call on, if one did. */
  get transferred(): CallAction | undefined {
    return this.#transferred;
  }

  /** The conversation so far, as heard. */
  history(): readonly ReplayItem[] {
    return this.parts.guard.run(() => this.parts.record.transcript.conversation.replay()) ?? [];
  }

  /**
   * Connects to the upstream.
   * @throws {CallError} `upstream_refused`, `upstream_timeout`, `internal`; `session_not_found` when it was ended meanwhile
   */
  async open(timeoutMs: number): Promise<void> {
    const { standing, uplink, deliveries, upstream, guard } = this.parts;
    try {
      await this.#connect(timeoutMs);
    } catch (error) {
      if (standing.isOver) throw this.#endedWhileCreated();
      standing.ended();
      uplink.close();
      deliveries.wake();
      const failure = toOpenError(error, timeoutMs);
      guard.run(() => this.#listener.onOver(this.#ageMs, failure.code));
      throw failure;
    }
    if (standing.isOver) {
      await upstream.close();
      throw this.#endedWhileCreated();
    }
    standing.opened();
    const { recorder } = this.parts.replyPath;
    if (recorder && this.#setup.profile.recording?.notice === 'beep') guard.watch(this.#beep());
  }

  /** Tells the caller that the call is recorded. */
  async #beep(): Promise<void> {
    const { replyPath, observer } = this.parts;
    try {
      replyPath.playSound('beep', await this.#deps.fillers.beep(this.#setup.formats.call));
    } catch (error) {
      observer.fillerFailed(error as Error);
    }
  }

  #endedWhileCreated(): CallError {
    return sessionNotFound(this.#setup.request.callId, 'it was ended before it was ready');
  }

  #connect(timeoutMs: number, replay?: readonly ReplayItem[]): Promise<void> {
    const { upstream, replyPath, events } = this.parts;
    return upstream.open(openRequest(this.#setup, this.#deps, replay, replyPath.replies.handed), timeoutMs, events);
  }

  /** Goes on with a call that another process had. It takes requests at once, and is told the AI meanwhile. */
  resume(origin: CallOrigin): void {
    const { standing, upstream, clock, record, replyPath, guard, observer } = this.parts;
    const { reason, silentMs } = origin;
    const startedAtMs = monotonicNowMs();
    const { isCutShort } = this.#restore(origin);
    if (isCutShort) upstream.cutShort();
    const history = this.history();
    clock.onUpstream(false, startedAtMs);
    if (isCutShort || isUnanswered(history) || record.isToolRunning) replyPath.awaitAnswer();
    standing.opened();
    guard.watch(this.#goOn(history, () => observer.takenOver(reason, silentMs + monotonicNowMs() - startedAtMs)));
  }

  /** Ends a call that another process had, and that nobody asked for any more; resolves when its summary is safe. */
  async concludeOrphan(origin: CallOrigin): Promise<void> {
    this.#restore(origin);
    this.parts.standing.opened();
    this.finish('idle', 'its node died, and its client sent no request since');
    await this.conclude();
  }

  #restore({ snapshot, savedMsAgo, silentMs }: CallOrigin): { readonly isCutShort: boolean } {
    return restore(snapshot, this.parts, savedMsAgo - silentMs);
  }

  get ageMs(): number {
    return this.#ageMs;
  }

  /** The call goes on in another process: nothing more is done for it here, and there is no summary. Idempotent. */
  letGo(): void {
    const { standing, deliveries, guard, observer, uplink, tools, replyPath, upstream, streams } = this.parts;
    if (standing.state === 'ended') return;
    guard.run(() => observer.letGo());
    guard.run(() => deliveries.releasePoll());
    standing.ended();
    guard.run(() => streams.breakOff());
    guard.run(() => uplink.close());
    guard.run(() => tools.close());
    replyPath.stopFiller();
    guard.run(() => replyPath.close(monotonicNowMs()));
    guard.watch(upstream.close());
  }

  /** Whether nobody would hear it if the call went on elsewhere now. */
  get isQuiet(): boolean {
    const { standing, clock, replyPath, record, upstream } = this.parts;
    if (standing.state !== 'active' || upstream.workerId === undefined || upstream.isCutShort) return false;
    if (clock.isSpeaking || record.isToolRunning || replyPath.isBusy(monotonicNowMs())) return false;
    const history = this.history();
    return history.length > 0 && !isUnanswered(history);
  }

  /** Looks at the clock: idle, silent, too long, over. Called about once a second. */
  tick(nowMs: number): void {
    this.parts.guard.run(() => this.#tick(nowMs));
  }

  #tick(nowMs: number): void {
    const { standing, clock, deliveries, streams, replyPath, record, observer, upstream, guard } = this.parts;
    if (standing.state === 'active' || standing.state === 'ending') replyPath.recorder?.tick(nowMs);
    const isOutboxOver = clock.isOutboxExpired(nowMs) || clock.isAbandoned(nowMs);
    if (standing.state === 'ending' && isOutboxOver) guard.watch(this.conclude());
    if (standing.state !== 'active') return;
    replyPath.replies.forget(nowMs);
    // A poll that waits is a client that is there.
    const heardOfAtMs = deliveries.isAwaited ? nowMs : streams.heardOfAtMs(nowMs);
    if (heardOfAtMs !== undefined) clock.onRequest(heardOfAtMs);
    const due = clock.due(nowMs, replyPath.isBusy(nowMs) || record.isToolRunning);
    if (due === undefined) return;
    if (due.type === 'prompt') {
      observer.noInput(due.count);
      const instructions = fillPlaceholders(due.instructions, callValues(this.#setup));
      upstream.command({ type: 'prompt', instructions });
    } else {
      const isUnattended = clock.isUnattended(nowMs);
      this.finish(due.reason, due.why);
      // What is queued waits for whoever may come for it.
      if (isUnattended) void this.conclude();
    }
  }

  // What its parts tell

  onDefect(error: Error): void {
    this.parts.observer.defect(error);
    this.finish('upstream_failed', 'this call could not go on because of a failure in the gateway');
  }

  onUpstreamFailed(code: string, message: string): void {
    this.finish('upstream_failed', `the AI failed (${code}): ${message}`);
  }

  onWorkerLost(error: Error): void {
    this.parts.guard.watch(this.#goOnElsewhere(error));
  }

  onActionDelivered(action: CallAction): void {
    const { tools, observer } = this.parts;
    if (action.type === 'transfer') this.#transferred = action;
    if (action.id === this.#fallback?.id) this.#fallback.onDelivered();
    tools.settleAction(action.id, true);
    observer.actionDelivered(action.type);
    this.finish(action.type === 'transfer' ? 'transferred' : 'agent_hangup');
  }

  onLineDelivered(): void {
    this.#listener.onChanged();
  }

  onNoted(type: string): void {
    if (CHANGES.has(type)) this.#listener.onChanged();
  }

  mayAct(): Promise<boolean> {
    return this.#listener.mayAct();
  }

  onLastAnswer(): void {
    this.parts.guard.watch(this.conclude());
  }

  async #goOnElsewhere(error: Error): Promise<void> {
    const { standing, observer, record, clock, upstream, replyPath } = this.parts;
    const lostAtMs = monotonicNowMs();
    observer.workerLost(error);
    // A session that is still being created fails with its creation.
    if (standing.isOver || standing.state === 'creating') return;
    if (!this.#deps.survivesWorkerLoss) {
      this.finish('upstream_failed', 'the session worker of this call died');
      return;
    }
    record.transcript.giveUpTranscripts();
    const history = this.history();
    clock.onUpstream(false, lostAtMs);
    if (upstream.isCutShort || isUnanswered(history) || record.isToolRunning) replyPath.awaitAnswer();
    await this.#goOn(history, () => observer.workerReplaced(monotonicNowMs() - lostAtMs));
  }

  /** Has the conversation so far taken up by another session of the AI. */
  async #goOn(history: readonly ReplayItem[], onDone: () => void): Promise<void> {
    const { clock, upstream } = this.parts;
    const { maxOutageMs } = this.#deps.reconnect;
    const { workersLost } = upstream;
    try {
      await this.#connect(maxOutageMs, history);
      clock.onUpstream(true, monotonicNowMs());
      onDone();
    } catch (cause) {
      // A worker that died under this attempt has had the next one begun.
      if (upstream.workersLost > workersLost) return;
      this.finish('upstream_failed', toOpenError(cause, maxOutageMs).details.why);
    }
  }

  // The end

  /**
   * Ends the session; what is queued for the client is still delivered. Idempotent.
   * @param error a sentence for the client, where the call could not go on
   */
  finish(reason: EndReason, error?: string): void {
    const { standing, clock, guard, observer, uplink, tools, replyPath, upstream } = this.parts;
    if (standing.isOver) return;
    standing.ending(reason, error);
    this.#durationMs = this.#ageMs;
    clock.onEnded(monotonicNowMs());
    // Whatever is broken, the rest of the call is closed.
    guard.run(() => observer.ending(reason, error));
    guard.run(() => uplink.close());
    guard.run(() => tools.close());
    replyPath.stopFiller();
    guard.watch(upstream.close());
    guard.watch(this.#handOver(reason));
  }

  /** Sends the call to its fallback where there is one, and concludes where nothing is left to deliver. */
  async #handOver(reason: EndReason): Promise<void> {
    const { standing, replyPath, record, deliveries } = this.parts;
    await replyPath.drained();
    if (standing.state !== 'ending') return;
    const { fallbackExtension } = this.#setup.profile;
    if (reason === 'upstream_failed' && fallbackExtension !== undefined) {
      const action: CallAction = {
        id: randomUUID(),
        type: 'transfer',
        extension: fallbackExtension,
        reason: 'the AI is not available',
      };
      const { id, ...args } = action;
      this.#fallback = { id, onDelivered: record.doneByGateway('transfer_to_extension', args) };
      replyPath.outbox.pushAction(action);
    }
    standing.handedOver();
    deliveries.wake();
    if (replyPath.outbox.isEmpty) await this.conclude();
  }

  /** Makes the summary, once; resolves when it is safe. */
  conclude(): Promise<void> {
    const { standing, clock, guard, observer, replyPath, record, streams } = this.parts;
    if (standing.state === 'ended') return this.#concluded;
    standing.ended();
    const nowMs = monotonicNowMs();
    // Whatever is broken, there is a summary, of as much as can be told.
    guard.run(() => replyPath.replies.settleAll(nowMs));
    this.#durationMs ??= this.#ageMs;
    const durationMs = Math.round(this.#durationMs);
    const { callId } = this.#setup.request;
    const endReason = standing.endReason ?? 'completed';
    const told = guard.run(() => record.summary(callId, durationMs, endReason)) ?? {
      callId,
      duration: durationMs,
      transcript: [],
      actions: [],
      endReason,
    };
    const summary = { ...told, aiAgentRef: this.#setup.aiAgentRef, usage: observer.usage };
    this.#summary = summary;
    guard.run(() => streams.close());
    guard.run(() => replyPath.close(nowMs));
    clock.onEnded(nowMs);
    guard.run(() => observer.ended(summary, standing.error));
    guard.run(() => this.#listener.onOver(durationMs, standing.error));
    this.#concluded = this.#listener.onConcluded();
    return this.#concluded;
  }

  get #ageMs(): number {
    return monotonicNowMs() - this.#createdAtMs;
  }

  /** A time of the call for people to read. It follows from the call's begin, so that times and durations agree. */
  #wallAt(ageMs: number): Date {
    return new Date(this.createdAt.getTime() + Math.max(0, ageMs));
  }
}
