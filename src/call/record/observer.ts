import type { Logger } from 'pino';
import { monotonicNowMs } from '../../clock.ts';
import type { CallCosts } from '../../costs/call-costs.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { ReportedEvent } from '../../workers/session/service.ts';
import type { CallErrorCode } from '../errors.ts';
import type { AudioEntry, CallAction } from '../reply/outbox.ts';
import { AnswerWatch } from './answer-watch.ts';
import type { CallFigures, FiguresSnapshot } from './figures.ts';
import { CallNotes, type NotesListener, tenths } from './notes.ts';
import type { CallUsage, RecordedAction, Summary } from './record.ts';
import type { CallTimeline, TimelineEvent } from './timeline.ts';
import { type Turn, turnsOf } from './turns.ts';
import { UpstreamNotes } from './upstream-notes.ts';

/** A gap that callers notice, and that is worth a line. */
const LONG_GAP_MS = 1_000;

/** Everything that was noted of a call. */
export interface CallReport {
  readonly figures: FiguresSnapshot;
  readonly turns: Turn[];
  readonly events: TimelineEvent[];
  /** Left out of the middle of a very long call. */
  readonly omittedEvents: number;
}

/**
 * Takes note of what happens on one call, each thing once: in the metrics of all calls, on the call's timeline, in its
 * figures and in the log. What comes with every chunk or delta costs a counter at most.
 */
export class CallObserver {
  readonly #notes: CallNotes;
  readonly #upstream: UpstreamNotes;
  readonly #answers: AnswerWatch;
  #hasCallerAudio = false;

  /** @param log has the call's `callId` and `tenantId` on every line */
  constructor(metrics: Metrics, log: Logger, costs: CallCosts, listener: NotesListener) {
    this.#notes = new CallNotes(metrics, log, costs, listener);
    this.#answers = new AnswerWatch(this.#notes);
    this.#upstream = new UpstreamNotes(this.#notes, this.#answers);
  }

  /** The zero of the call's timeline, on the monotonic clock. */
  get startedAtMs(): number {
    return this.#notes.timeline.startedAtMs;
  }

  // From create to ready

  started(fields: Readonly<Record<string, unknown>>): void {
    this.#notes.log.info(fields, 'call started');
  }

  /** @param setupMs from the request to the upstream being ready */
  ready(setupMs: number): void {
    this.#notes.figures.setupMs = setupMs;
    this.#notes.metrics.sessionSetup.observe(setupMs / 1000);
    this.#notes.log.info({ setupMs: Math.round(setupMs) }, 'ready');
  }

  /** @param reason why, for people */
  notStarted(code: CallErrorCode, reason: string, error: Error): void {
    this.#notes.metrics.sessions.inc({ outcome: code });
    // The upstream's refusals are ordinary; what else goes wrong here is a defect, and its stack is needed.
    this.#notes.log.warn({ code, reason, ...(code === 'internal' ? { err: error } : {}) }, 'call could not be started');
  }

  // What the client sends

  callerAudio(audioMs: number): void {
    this.#notes.metrics.audioSeconds.inc('up', audioMs / 1000);
    this.#notes.figures.audioUpMs += audioMs;
    if (this.#hasCallerAudio) return;
    this.#hasCallerAudio = true;
    this.#notes.note('first_chunk');
  }

  /** A chunk was refused, or is of no use: too late, or there already. */
  chunkRejected(reason: string): void {
    this.#notes.metrics.audioRejected.inc({ reason });
    // What is late was counted when it was missing, and what was sent twice is not lost.
    if (reason !== 'late' && reason !== 'repeat') this.#notes.figures.droppedChunks += 1;
    this.#notes.timeline.tally('chunk_rejected', reason);
  }

  chunksMissing(count: number): void {
    this.#notes.metrics.audioRejected.inc({ reason: 'missing' }, count);
    this.#notes.figures.droppedChunks += count;
    this.#notes.timeline.tally('chunks_missing', 'gap', count);
  }

  dtmf(count: number): void {
    this.#notes.note('dtmf', { count });
  }

  // What the upstream says

  upstream(event: ReportedEvent): void {
    this.#upstream.take(event);
  }

  /** Something of this call threw where nothing may. */
  defect(error: Error): void {
    this.#notes.note('defect');
    this.#notes.log.error({ err: error }, 'call ends because of a defect');
  }

  workerLost(error: Error): void {
    this.#notes.note('worker_lost');
    this.#notes.log.error({ err: error }, 'session worker lost');
  }

  /** The call goes on with another worker. */
  workerReplaced(tookMs: number): void {
    this.#notes.reconnected('worker_lost');
    this.#notes.metrics.upstreamOutage.observe(tookMs / 1000);
    this.#notes.note('upstream_restored', { outageMs: Math.round(tookMs) });
    this.#notes.log.info({ reason: 'worker_lost', outageMs: Math.round(tookMs) }, 'reconnected');
  }

  /** The call comes from another node, and goes on here. */
  takenOver(reason: 'node_died' | 'handed_over', silentMs: number): void {
    const ms = Math.round(silentMs);
    this.#notes.metrics.clusterTakeovers.inc({ reason });
    this.#notes.metrics.clusterTakeover.observe(silentMs / 1000);
    this.#notes.note('taken_over', { reason, silentMs: ms });
    this.#notes.log.warn({ reason, silentMs: ms }, 'call taken over from another node');
  }

  /** The call goes on at another node. */
  letGo(): void {
    this.#notes.note('let_go');
  }

  // The reply's way to the client

  /** A piece of a reply came off the socket. */
  replyReceived(itemId: string, receivedAtMs: number): void {
    this.#answers.received(itemId, receivedAtMs);
  }

  /** @param receivedAtMs when its audio came off the socket; undefined for an item's last frame */
  replyQueued(itemId: string, receivedAtMs: number | undefined, nowMs: number): void {
    if (receivedAtMs !== undefined) this.#notes.metrics.downlinkLatency.observe((nowMs - receivedAtMs) / 1000);
    this.#answers.queued(itemId, nowMs);
  }

  /** Reply audio is being handed to the client. */
  replyHandedOver(entries: readonly AudioEntry[], nowMs: number): void {
    this.#notes.metrics.outboxWait.observe((nowMs - entries[0]!.queuedAtMs) / 1000);
    this.#answers.handedOver(entries, nowMs);
  }

  // Streams

  /** A client streams from now on. */
  streamOpened(direction: 'up' | 'down', details: Readonly<Record<string, unknown>>): void {
    this.#notes.note('stream_opened', { direction, ...details });
  }

  streamClosed(direction: 'up' | 'down'): void {
    this.#notes.note('stream_closed', { direction });
  }

  /** A stream plays a reply's frame, which is written now: the wait in the outbox was the reply before it. */
  replyPlayed(entry: AudioEntry, nowMs: number): void {
    this.#answers.played(entry, nowMs);
  }

  streamFrame(lateMs: number): void {
    this.#notes.metrics.duplexLate.observe(lateMs / 1000);
  }

  /** The client of a stream ran out of audio and waited. */
  streamUnderrun(gapMs: number): void {
    this.#notes.metrics.duplexUnderruns.inc();
    this.#notes.timeline.tally('stream_underrun', gapMs >= LONG_GAP_MS ? 'long' : 'short');
    if (gapMs >= LONG_GAP_MS) this.#notes.log.warn({ gapMs: Math.round(gapMs) }, 'streamed audio came late');
  }

  /** The client of a stream left its audio unread. */
  streamNotRead(blockedMs: number): void {
    this.#notes.metrics.duplexCutOff.inc({ reason: 'not_read' });
    this.#notes.note('stream_cut_off', { direction: 'down', reason: 'not_read' });
    this.#notes.log.warn({ blockedMs: Math.round(blockedMs) }, 'the client does not read its stream: broken off');
  }

  /** The client of a stream sends faster than anybody speaks. */
  streamTooFast(): void {
    this.#notes.metrics.duplexCutOff.inc({ reason: 'too_fast' });
    this.#notes.note('stream_cut_off', { direction: 'up', reason: 'too_fast' });
    this.#notes.log.warn('the client streams faster than twice real time for 5 s: broken off');
  }

  /** Reply audio has arrived at the client. */
  replyDelivered(audioMs: number): void {
    this.#notes.metrics.audioSeconds.inc('down', audioMs / 1000);
    this.#notes.figures.audioDownMs += audioMs;
  }

  /** Reply audio could not be used. */
  replyRejected(reason: string, message: string): void {
    this.#notes.metrics.audioRejected.inc({ reason: `upstream_${reason}` });
    if (this.#notes.timeline.tally('reply_rejected', reason))
      this.#notes.log.error({ reason, message }, 'reply audio dropped');
  }

  /** More of a reply was queued than anybody will listen to. */
  replyCancelled(queuedMs: number): void {
    this.#notes.metrics.audioRejected.inc({ reason: 'outbox_full' });
    this.#notes.note('reply_cancelled', { queuedMs: Math.round(queuedMs) });
    this.#notes.log.warn({ queuedMs: Math.round(queuedMs) }, 'outbox full, reply cancelled');
  }

  interrupted(generation: number, startedAtMs: number, heardMs: readonly number[]): void {
    const nowMs = monotonicNowMs();
    const reactionMs = tenths(nowMs - startedAtMs);
    const heard = Math.round(heardMs.reduce((sum, ms) => sum + ms, 0));
    this.#notes.metrics.bargeInReaction.observe((nowMs - startedAtMs) / 1000);
    this.#notes.metrics.interruptions.inc();
    this.#notes.figures.interruptions += 1;
    this.#notes.note('interrupted', { generation, reactionMs, heardMs: heard }, nowMs);
    this.#notes.log.info({ generation, reactionMs, heardMs: heard }, 'interrupted');
  }

  // Tools and the end

  toolFinished(name: string, outcome: RecordedAction['outcome'], durationMs: number): void {
    this.#notes.metrics.toolCalls.inc({ outcome });
    this.#notes.metrics.toolCall.observe(durationMs / 1000);
    this.#notes.figures.toolCalls += 1;
    this.#notes.note('tool', { name, outcome, durationMs });
    this.#notes.log.info({ tool: name, outcome, durationMs }, 'tool');
  }

  actionDelivered(type: CallAction['type']): void {
    this.#notes.note('action', { action: type });
  }

  /** The caller is played something while the connection is restored. */
  fillerStarted(): void {
    this.#notes.note('filler');
  }

  fillerFailed(error: Error): void {
    this.#notes.log.error({ err: error }, 'filler cannot be played');
  }

  noInput(prompt: number): void {
    this.#notes.note('no_input', { prompt });
  }

  recordingKept(): void {
    this.#notes.metrics.recordings.inc({ outcome: 'kept' });
  }

  /** The disk did not take all of the recording, which ends there; the call does not. */
  recordingLost(error: Error): void {
    this.#notes.metrics.recordings.inc({ outcome: 'lost' });
    this.#notes.note('recording_lost');
    this.#notes.log.error({ why: error.message }, 'recording lost: the call goes on');
  }

  /** The session is over; what is queued is still delivered. */
  ending(reason: string, why: string | undefined): void {
    this.#notes.note('ending', { reason, ...(why === undefined ? {} : { why }) });
  }

  ended(summary: Summary, why: string | undefined): void {
    const { endReason, duration, transcript, aiAgentRef } = summary;
    this.#notes.costs.ended();
    this.#notes.metrics.sessions.inc({ outcome: endReason });
    this.#notes.metrics.sessionDuration.observe(duration / 1000);
    this.#notes.note('ended', { reason: endReason });
    this.#notes.log.info(
      { endReason, why, aiAgentRef, durationMs: duration, lines: transcript.length, ...this.#notes.snapshot },
      'call ended',
    );
  }

  /** What has been noted, for whoever follows the call. */
  get timeline(): Pick<CallTimeline, 'revision' | 'since' | 'last' | 'faultCount' | 'lastFault'> {
    return this.#notes.timeline;
  }

  get figures(): Pick<CallFigures, 'turns' | 'lastTurnMs' | 'interruptions' | 'reconnects'> {
    return this.#notes.figures;
  }

  /** What it used and cost, so far. */
  get usage(): CallUsage {
    const { model, tokens, audioSeconds, models, cost, currency } = this.#notes.snapshot;
    return { model, tokens, audioSeconds, models, ...(cost === undefined ? {} : { cost }), currency };
  }

  /** Everything noted so far, for whoever asks what happened on this call. */
  get report(): CallReport {
    const events = this.#notes.timeline.events;
    return {
      figures: this.#notes.snapshot,
      turns: turnsOf(events),
      events: [...events],
      omittedEvents: this.#notes.timeline.omitted,
    };
  }
}
