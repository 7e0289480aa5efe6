import type { Logger } from 'pino';
import { monotonicNowMs } from '../../clock.ts';
import type { ApiError } from '../../http/errors.ts';
import type { CallEvents } from '../../http/event-schemas.ts';
import type { Summary } from '../../http/schemas.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { describeMisfit } from '../../upstream/misfit.ts';
import type { ReportedEvent } from '../../workers/session/service.ts';
import type { AudioEntry, CallAction } from '../reply/outbox.ts';
import { CallFigures, tokensByType } from './figures.ts';
import type { RecordedAction } from './record.ts';
import { CallTimeline } from './timeline.ts';
import { turnsOf } from './turns.ts';

/** A gap that callers notice, and that is worth a line. */
const LONG_GAP_MS = 1_000;

/** How far the first audio of the response at hand has come. */
type Awaited = 'delta' | 'frames' | 'handover' | undefined;

/**
 * Takes note of what happens on one call, each thing once: in the metrics of all calls, on the call's timeline, in its
 * figures and in the log. What comes with every chunk or delta costs a counter at most.
 */
export class CallObserver {
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #timeline = new CallTimeline(monotonicNowMs);
  readonly #figures = new CallFigures();
  readonly #startedAtMs = monotonicNowMs();
  #awaited: Awaited;
  #awaitedItemId: string | undefined;
  /** When the caller's last turn ended, until its answer is handed over. */
  #turnEndedAtMs: number | undefined;
  /** The same, once a response to it has started: earlier responses are not its answer. */
  #answeredTurnEndedAtMs: number | undefined;
  #hasCallerAudio = false;
  #hasSpoken = false;
  #hasOddExpiry = false;
  #hasToldUnusable = false;

  /** @param log has the call's `callId` and `tenantId` on every line */
  constructor(metrics: Metrics, log: Logger) {
    this.#metrics = metrics;
    this.#log = log;
  }

  // From create to ready

  started(fields: Readonly<Record<string, unknown>>): void {
    this.#log.info(fields, 'call started');
  }

  /** @param setupMs from the request to the upstream being ready */
  ready(setupMs: number): void {
    this.#figures.setupMs = setupMs;
    this.#metrics.sessionSetup.observe(setupMs / 1000);
    this.#log.info({ setupMs: Math.round(setupMs) }, 'ready');
  }

  notStarted(error: ApiError): void {
    this.#metrics.sessions.inc({ outcome: error.code });
    // The upstream's refusals are ordinary; what else goes wrong here is a defect, and its stack is needed.
    const fields = { code: error.code, reason: error.message, ...(error.code === 'internal' ? { err: error } : {}) };
    this.#log.warn(fields, 'call could not be started');
  }

  // What the client sends

  callerAudio(audioMs: number): void {
    this.#metrics.audioSeconds.inc('up', audioMs / 1000);
    this.#figures.audioUpMs += audioMs;
    if (this.#hasCallerAudio) return;
    this.#hasCallerAudio = true;
    this.#note('first_chunk');
  }

  /** A chunk was refused, or is of no use: too late, or there already. */
  chunkRejected(reason: string): void {
    this.#metrics.audioRejected.inc({ reason });
    // What is late was counted when it was missing, and what was sent twice is not lost.
    if (reason !== 'late' && reason !== 'repeat') this.#figures.droppedChunks += 1;
    this.#timeline.tally('chunk_rejected', reason);
  }

  chunksMissing(count: number): void {
    this.#metrics.audioRejected.inc({ reason: 'missing' }, count);
    this.#figures.droppedChunks += count;
    this.#timeline.tally('chunks_missing', 'gap', count);
  }

  dtmf(count: number): void {
    this.#note('dtmf', { count });
  }

  // What the upstream says

  upstream(event: ReportedEvent): void {
    const note = (type: string, details = {}) => this.#note(type, details, event.atMs);
    switch (event.type) {
      case 'ready':
        this.#metrics.upstreamConnect.observe(event.connectMs / 1000);
        note('ready', { connectMs: tenths(event.connectMs), attempt: event.attempt });
        break;
      case 'speech_started':
        note('speech_started');
        break;
      case 'speech_stopped':
        this.#turnEndedAtMs = event.atMs;
        this.#figures.turns += 1;
        note('speech_stopped');
        break;
      case 'item_removed':
        this.#turnEndedAtMs = undefined;
        this.#figures.turns -= 1;
        note('speech_ignored');
        break;
      case 'dtmf_sent':
        this.#figures.turns += 1;
        note('dtmf_sent', { count: event.digits.length });
        break;
      case 'user_text':
        this.#note(event.text === null ? 'transcription_failed' : 'transcribed');
        break;
      case 'response_started':
        this.#awaited = 'delta';
        this.#answeredTurnEndedAtMs = this.#turnEndedAtMs;
        note('response_started');
        break;
      case 'response_done':
        this.#responseDone(event);
        break;
      case 'truncated':
        note('truncated', { audioEndMs: event.audioEndMs });
        break;
      case 'upstream_error':
        this.#metrics.upstreamErrors.inc({ class: event.verdict });
        note('upstream_error', { verdict: event.verdict, code: event.code });
        if (event.verdict !== 'benign') {
          this.#log.warn({ code: event.code, message: event.message }, 'upstream error');
        }
        break;
      case 'event_unusable':
        this.#unusable(event);
        break;
      case 'repaired':
        this.#metrics.upstreamRepairs.inc({ kind: event.kind });
        note('repaired', { kind: event.kind });
        this.#log.warn({ kind: event.kind }, 'upstream left something open');
        break;
      case 'transcription_refused':
        this.#metrics.upstreamErrors.inc({ class: 'transcription_refused' });
        note('transcription_refused', { code: event.code });
        this.#log.warn(
          { model: event.model, code: event.code, message: event.message },
          'transcription refused: the call goes on without the words of the caller',
        );
        break;
      case 'misfit':
        this.#metrics.upstreamErrors.inc({ class: 'misfit' });
        note('misfit', { kind: event.misfit.kind, message: describeMisfit(event.misfit) });
        this.#log.warn({ kind: event.misfit.kind }, describeMisfit(event.misfit));
        break;
      case 'upstream_lost':
        note('upstream_lost', { code: event.code });
        this.#log.warn({ code: event.code }, 'upstream connection lost');
        break;
      case 'upstream_restored':
        this.#restored(event);
        break;
      case 'rotated':
        this.#reconnected('rotated');
        note('rotated', { tookMs: event.tookMs });
        this.#log.info({ reason: 'rotated', tookMs: event.tookMs }, 'reconnected');
        break;
      case 'expiry_ignored':
        this.#expiryIgnored(event.expiresAt);
        break;
      case 'upstream_failed':
        this.#metrics.upstreamErrors.inc({ class: 'failed' });
        note('upstream_failed', { code: event.code });
        this.#log.error({ code: event.code, message: event.message }, 'upstream failed');
        break;
    }
  }

  /** Something of this call threw where nothing may. */
  defect(error: Error): void {
    this.#note('defect');
    this.#log.error({ err: error }, 'call ends because of a defect');
  }

  workerLost(error: Error): void {
    this.#note('worker_lost');
    this.#log.error({ err: error }, 'session worker lost');
  }

  /** The call goes on with another worker. */
  workerReplaced(tookMs: number): void {
    this.#reconnected('worker_lost');
    this.#metrics.upstreamOutage.observe(tookMs / 1000);
    this.#note('upstream_restored', { outageMs: Math.round(tookMs) });
    this.#log.info({ reason: 'worker_lost', outageMs: Math.round(tookMs) }, 'reconnected');
  }

  // The reply's way to the client

  /** A piece of a reply came off the socket. */
  replyReceived(itemId: string, receivedAtMs: number): void {
    if (this.#awaited !== 'delta') return;
    this.#awaited = 'frames';
    this.#awaitedItemId = itemId;
    this.#note('first_delta', {}, receivedAtMs);
  }

  /** @param receivedAtMs when its audio came off the socket; undefined for an item's last frame */
  replyQueued(itemId: string, receivedAtMs: number | undefined, nowMs: number): void {
    if (receivedAtMs !== undefined) this.#metrics.downlinkLatency.observe((nowMs - receivedAtMs) / 1000);
    if (this.#awaited !== 'frames' || this.#awaitedItemId !== itemId) return;
    this.#awaited = 'handover';
    this.#note('in_outbox', {}, nowMs);
  }

  /** Reply audio is being handed to the client. */
  replyHandedOver(entries: readonly AudioEntry[], nowMs: number): void {
    this.#metrics.outboxWait.observe((nowMs - entries[0]!.queuedAtMs) / 1000);
    this.#reached(entries, nowMs);
  }

  #reached(entries: readonly AudioEntry[], nowMs: number): void {
    if (this.#awaited === 'handover' && entries.some(({ itemId }) => itemId === this.#awaitedItemId)) {
      this.#awaited = undefined;
      this.#answered(nowMs);
    }
    if (this.#hasSpoken) return;
    this.#hasSpoken = true;
    this.#log.info({ afterMs: Math.round(nowMs - this.#startedAtMs) }, 'first audio');
  }

  // Streams

  /** A client streams from now on. */
  streamOpened(direction: 'up' | 'down', details: Readonly<Record<string, unknown>>): void {
    this.#note('stream_opened', { direction, ...details });
  }

  streamClosed(direction: 'up' | 'down'): void {
    this.#note('stream_closed', { direction });
  }

  /** A stream plays a reply's frame, which is written now: the wait in the outbox was the reply before it. */
  replyPlayed(entry: AudioEntry, nowMs: number): void {
    if (this.#awaited === 'handover' || !this.#hasSpoken) this.#reached([entry], nowMs);
  }

  streamFrame(lateMs: number): void {
    this.#metrics.duplexLate.observe(lateMs / 1000);
  }

  /** The client of a stream ran out of audio and waited. */
  streamUnderrun(gapMs: number): void {
    this.#metrics.duplexUnderruns.inc();
    this.#timeline.tally('stream_underrun', gapMs >= LONG_GAP_MS ? 'long' : 'short');
    if (gapMs >= LONG_GAP_MS) this.#log.warn({ gapMs: Math.round(gapMs) }, 'streamed audio came late');
  }

  /** The client of a stream left its audio unread. */
  streamNotRead(blockedMs: number): void {
    this.#metrics.duplexCutOff.inc({ reason: 'not_read' });
    this.#note('stream_cut_off', { direction: 'down', reason: 'not_read' });
    this.#log.warn({ blockedMs: Math.round(blockedMs) }, 'the client does not read its stream: broken off');
  }

  /** The client of a stream sends faster than anybody speaks. */
  streamTooFast(): void {
    this.#metrics.duplexCutOff.inc({ reason: 'too_fast' });
    this.#note('stream_cut_off', { direction: 'up', reason: 'too_fast' });
    this.#log.warn('the client streams faster than twice real time for 5 s: broken off');
  }

  /** Reply audio has arrived at the client. */
  replyDelivered(audioMs: number): void {
    this.#metrics.audioSeconds.inc('down', audioMs / 1000);
    this.#figures.audioDownMs += audioMs;
  }

  /** Reply audio could not be used. */
  replyRejected(reason: string, message: string): void {
    this.#metrics.audioRejected.inc({ reason: `upstream_${reason}` });
    if (this.#timeline.tally('reply_rejected', reason)) this.#log.error({ reason, message }, 'reply audio dropped');
  }

  /** More of a reply was queued than anybody will listen to. */
  replyCancelled(queuedMs: number): void {
    this.#metrics.audioRejected.inc({ reason: 'outbox_full' });
    this.#note('reply_cancelled', { queuedMs: Math.round(queuedMs) });
    this.#log.warn({ queuedMs: Math.round(queuedMs) }, 'outbox full, reply cancelled');
  }

  interrupted(generation: number, startedAtMs: number, heardMs: readonly number[]): void {
    const nowMs = monotonicNowMs();
    const reactionMs = tenths(nowMs - startedAtMs);
    const heard = Math.round(heardMs.reduce((sum, ms) => sum + ms, 0));
    this.#metrics.bargeInReaction.observe((nowMs - startedAtMs) / 1000);
    this.#metrics.interruptions.inc();
    this.#figures.interruptions += 1;
    this.#note('interrupted', { generation, reactionMs, heardMs: heard }, nowMs);
    this.#log.info({ generation, reactionMs, heardMs: heard }, 'interrupted');
  }

  // Tools and the end

  toolFinished(name: string, outcome: RecordedAction['outcome'], durationMs: number): void {
    this.#metrics.toolCalls.inc({ outcome });
    this.#metrics.toolCall.observe(durationMs / 1000);
    this.#figures.toolCalls += 1;
    this.#note('tool', { name, outcome, durationMs });
    this.#log.info({ tool: name, outcome, durationMs }, 'tool');
  }

  actionDelivered(type: CallAction['type']): void {
    this.#note('action', { action: type });
  }

  /** The caller is played something while the connection is restored. */
  fillerStarted(): void {
    this.#note('filler');
  }

  fillerFailed(error: Error): void {
    this.#log.error({ err: error }, 'filler cannot be played');
  }

  noInput(prompt: number): void {
    this.#note('no_input', { prompt });
  }

  /** The session is over; what is queued is still delivered. */
  ending(reason: string, why: string | undefined): void {
    this.#note('ending', { reason, ...(why === undefined ? {} : { why }) });
  }

  ended(summary: Summary, why: string | undefined): void {
    const { endReason, duration, transcript } = summary;
    this.#metrics.sessions.inc({ outcome: endReason });
    this.#metrics.sessionDuration.observe(duration / 1000);
    this.#note('ended', { reason: endReason });
    this.#log.info(
      { endReason, why, durationMs: duration, lines: transcript.length, ...this.#figures.snapshot() },
      'call ended',
    );
  }

  /** Everything noted so far, for whoever asks what happened on this call. */
  get report(): Pick<CallEvents, 'figures' | 'turns' | 'events' | 'omittedEvents'> {
    const events = this.#timeline.events;
    return {
      figures: this.#figures.snapshot(),
      turns: turnsOf(events),
      events: [...events],
      omittedEvents: this.#timeline.omitted,
    };
  }

  // Inside

  #unusable({ reason, eventType, defect }: Extract<ReportedEvent, { type: 'event_unusable' }>): void {
    this.#metrics.upstreamEventsUnusable.inc({ reason });
    this.#timeline.tally('event_unusable', reason);
    if (this.#hasToldUnusable) return;
    this.#hasToldUnusable = true;
    // One line a call: a server that sends one such event sends more, and the metric counts them.
    this.#log.warn({ reason, eventType, ...(defect === undefined ? {} : { defect }) }, 'upstream event unusable');
  }

  #responseDone({ status, reason, message, usage, atMs }: Extract<ReportedEvent, { type: 'response_done' }>): void {
    const tokens = usage ? tokensByType(usage) : undefined;
    if (tokens) {
      this.#figures.used(tokens);
      for (const [type, count] of Object.entries(tokens)) this.#metrics.upstreamTokens.inc({ type }, count);
    }
    this.#note('response_done', { status, ...(reason ? { reason } : {}), ...(tokens ? { tokens } : {}) }, atMs);
    if (status !== 'failed') return;
    this.#metrics.upstreamErrors.inc({ class: 'response_failed' });
    this.#log.warn({ reason, message }, 'the upstream failed to answer');
  }

  #restored({ outageMs, attempt, droppedAudioMs, atMs }: Extract<ReportedEvent, { type: 'upstream_restored' }>): void {
    this.#reconnected('lost');
    this.#metrics.upstreamOutage.observe(outageMs / 1000);
    if (droppedAudioMs > 0) {
      this.#metrics.audioRejected.inc({ reason: 'reconnecting' });
      this.#figures.droppedAudioMs += droppedAudioMs;
    }
    this.#note('upstream_restored', { outageMs, attempt, droppedAudioMs }, atMs);
    this.#log.info({ reason: 'lost', outageMs, attempt, droppedAudioMs }, 'reconnected');
  }

  /** Each connection of a call says the same: once is enough. */
  #expiryIgnored(expiresAt: string): void {
    if (this.#hasOddExpiry) return;
    this.#hasOddExpiry = true;
    this.#note('expiry_ignored', { expiresAt });
    this.#log.warn({ expiresAt }, "the upstream's expires_at cannot be: is a clock wrong?");
  }

  #reconnected(reason: 'lost' | 'rotated' | 'worker_lost'): void {
    this.#metrics.upstreamReconnects.inc({ reason });
    this.#figures.reconnects += 1;
  }

  #answered(nowMs: number): void {
    const turnEndedAtMs = this.#answeredTurnEndedAtMs;
    if (turnEndedAtMs === undefined) {
      this.#note('handed_over', {}, nowMs);
      return;
    }
    this.#answeredTurnEndedAtMs = undefined;
    this.#turnEndedAtMs = undefined;
    const turnMs = nowMs - turnEndedAtMs;
    this.#metrics.turnLatency.observe(turnMs / 1000);
    this.#figures.answered(turnMs);
    this.#note('handed_over', { turnMs: tenths(turnMs) }, nowMs);
  }

  /** Puts something on the timeline and, at `debug`, into the log. */
  #note(type: string, details: Readonly<Record<string, unknown>> = {}, atMs?: number): void {
    this.#timeline.add(type, details, atMs);
    this.#log.debug(details, type);
  }
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
