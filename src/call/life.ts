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
import { toOpenError } from './upstream-call.ts';

/** Told of the end of a call. */
export interface LifeListener {
  /** It has its summary. Called once; resolves when the summary is safe. */
  onConcluded(): Promise<void>;
}

/** One call's life: it is opened, goes on while it has an upstream and a client, and ends once, with a summary. */
export class CallLife implements CallListener {
  readonly parts: CallParts;
  readonly createdAt = new Date();
  readonly #createdAtMs = monotonicNowMs();
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

  constructor(id: string, setup: SessionSetup, deps: SessionDeps, listener: LifeListener) {
    this.#setup = setup;
    this.#deps = deps;
    this.#listener = listener;
    this.parts = new CallParts(id, setup, deps, this);
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
    const { standing, uplink, deliveries, upstream } = this.parts;
    try {
      await this.#connect(timeoutMs);
    } catch (error) {
      if (standing.isOver) throw this.#endedWhileCreated();
      standing.ended();
      uplink.close();
      deliveries.wake();
      throw toOpenError(error, timeoutMs);
    }
    if (standing.isOver) {
      await upstream.close();
      throw this.#endedWhileCreated();
    }
    standing.opened();
  }

  #endedWhileCreated(): CallError {
    return sessionNotFound(this.#setup.request.callId, 'it was ended before it was ready');
  }

  #connect(timeoutMs: number, replay?: readonly ReplayItem[]): Promise<void> {
    const { upstream, replyPath, events } = this.parts;
    return upstream.open(openRequest(this.#setup, this.#deps, replay, replyPath.replies.handed), timeoutMs, events);
  }

  /** Looks at the clock: idle, silent, too long, over. Called about once a second. */
  tick(nowMs: number): void {
    this.parts.guard.run(() => this.#tick(nowMs));
  }

  #tick(nowMs: number): void {
    const { standing, clock, deliveries, streams, replyPath, record, observer, upstream, guard } = this.parts;
    const isOutboxOver = clock.isOutboxExpired(nowMs) || clock.isAbandoned(nowMs);
    if (standing.state === 'ending' && isOutboxOver) guard.watch(this.conclude());
    if (standing.state !== 'active') return;
    replyPath.replies.forget(nowMs);
    // A poll that waits is a client that is there.
    if (deliveries.isAwaited || streams.isAttached) clock.onRequest(nowMs);
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
    const { maxOutageMs } = this.#deps.reconnect;
    const { workersLost } = upstream;
    try {
      await this.#connect(maxOutageMs, history);
      clock.onUpstream(true, monotonicNowMs());
      observer.workerReplaced(monotonicNowMs() - lostAtMs);
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
    const summary = guard.run(() => record.summary(callId, durationMs, endReason)) ?? {
      callId,
      duration: durationMs,
      transcript: [],
      actions: [],
      endReason,
    };
    this.#summary = summary;
    guard.run(() => streams.close());
    guard.run(() => replyPath.close());
    clock.onEnded(nowMs);
    guard.run(() => observer.ended(summary, standing.error));
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
