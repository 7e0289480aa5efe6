import { describeMisfit } from '../../upstream/misfit.ts';
import type { ReportedEvent } from '../../workers/session/service.ts';
import type { AnswerWatch } from './answer-watch.ts';
import { type CallNotes, tenths } from './notes.ts';

/** Takes note of what the AI's conversation reports. */
export class UpstreamNotes {
  readonly #notes: CallNotes;
  readonly #answers: AnswerWatch;
  #hasOddExpiry = false;
  #hasToldUnusable = false;

  constructor(notes: CallNotes, answers: AnswerWatch) {
    this.#notes = notes;
    this.#answers = answers;
  }

  /** @param event of the AI's conversation, as it is reported */
  take(event: ReportedEvent): void {
    const { metrics, log, figures } = this.#notes;
    const note = (type: string, details = {}) => this.#notes.note(type, details, event.atMs);
    switch (event.type) {
      case 'ready':
        metrics.upstreamConnect.observe(event.connectMs / 1000);
        note('ready', { connectMs: tenths(event.connectMs), attempt: event.attempt });
        break;
      case 'speech_started':
        note('speech_started');
        break;
      case 'speech_stopped':
        this.#answers.turnEnded(event.atMs);
        figures.turns += 1;
        note('speech_stopped');
        break;
      case 'item_removed':
        this.#answers.turnIgnored();
        figures.turns -= 1;
        note('speech_ignored');
        break;
      case 'dtmf_sent':
        figures.turns += 1;
        note('dtmf_sent', { count: event.digits.length });
        break;
      case 'user_text':
        this.#notes.note(event.text === null ? 'transcription_failed' : 'transcribed');
        break;
      case 'transcription_used':
        this.#notes.costs.transcribed(event.usage);
        break;
      case 'response_started':
        this.#answers.responseStarted();
        note('response_started');
        break;
      case 'response_done':
        this.#responseDone(event);
        break;
      case 'truncated':
        note('truncated', { audioEndMs: event.audioEndMs });
        break;
      case 'upstream_error':
        metrics.upstreamErrors.inc({ class: event.verdict });
        note('upstream_error', { verdict: event.verdict, code: event.code });
        if (event.verdict !== 'benign') {
          log.warn({ code: event.code, message: event.message }, 'upstream error');
        }
        break;
      case 'event_unusable':
        this.#unusable(event);
        break;
      case 'repaired':
        metrics.upstreamRepairs.inc({ kind: event.kind });
        note('repaired', { kind: event.kind });
        log.warn({ kind: event.kind }, 'upstream left something open');
        break;
      case 'transcription_refused':
        metrics.upstreamErrors.inc({ class: 'transcription_refused' });
        note('transcription_refused', { code: event.code });
        log.warn(
          { model: event.model, code: event.code, message: event.message },
          'transcription refused: the call goes on without the words of the caller',
        );
        break;
      case 'misfit':
        metrics.upstreamErrors.inc({ class: 'misfit' });
        note('misfit', { kind: event.misfit.kind, message: describeMisfit(event.misfit) });
        log.warn({ kind: event.misfit.kind }, describeMisfit(event.misfit));
        break;
      case 'upstream_lost':
        note('upstream_lost', { code: event.code });
        log.warn({ code: event.code }, 'upstream connection lost');
        break;
      case 'upstream_restored':
        this.#restored(event);
        break;
      case 'rotated':
        this.#notes.reconnected('rotated');
        note('rotated', { tookMs: event.tookMs });
        log.info({ reason: 'rotated', tookMs: event.tookMs }, 'reconnected');
        break;
      case 'expiry_ignored':
        this.#expiryIgnored(event.expiresAt);
        break;
      case 'upstream_failed':
        metrics.upstreamErrors.inc({ class: 'failed' });
        note('upstream_failed', { code: event.code });
        log.error({ code: event.code, message: event.message }, 'upstream failed');
        break;
    }
  }

  #unusable({ reason, eventType, defect }: Extract<ReportedEvent, { type: 'event_unusable' }>): void {
    this.#notes.metrics.upstreamEventsUnusable.inc({ reason });
    this.#notes.timeline.tally('event_unusable', reason);
    if (this.#hasToldUnusable) return;
    this.#hasToldUnusable = true;
    // One line a call: a server that sends one such event sends more, and the metric counts them.
    this.#notes.log.warn({ reason, eventType, ...(defect === undefined ? {} : { defect }) }, 'upstream event unusable');
  }

  #responseDone({ status, reason, message, tokens, atMs }: Extract<ReportedEvent, { type: 'response_done' }>): void {
    if (tokens) this.#notes.costs.responded(tokens);
    this.#notes.note('response_done', { status, ...(reason ? { reason } : {}), ...(tokens ? { tokens } : {}) }, atMs);
    if (status !== 'failed') return;
    this.#notes.metrics.upstreamErrors.inc({ class: 'response_failed' });
    this.#notes.log.warn({ reason, message }, 'the upstream failed to answer');
  }

  #restored({ outageMs, attempt, droppedAudioMs, atMs }: Extract<ReportedEvent, { type: 'upstream_restored' }>): void {
    this.#notes.reconnected('lost');
    this.#notes.metrics.upstreamOutage.observe(outageMs / 1000);
    if (droppedAudioMs > 0) {
      this.#notes.metrics.audioRejected.inc({ reason: 'reconnecting' });
      this.#notes.figures.droppedAudioMs += droppedAudioMs;
    }
    this.#notes.note('upstream_restored', { outageMs, attempt, droppedAudioMs }, atMs);
    this.#notes.log.info({ reason: 'lost', outageMs, attempt, droppedAudioMs }, 'reconnected');
  }

  /** Each connection of a call says the same: once is enough. */
  #expiryIgnored(expiresAt: string): void {
    if (this.#hasOddExpiry) return;
    this.#hasOddExpiry = true;
    this.#notes.note('expiry_ignored', { expiresAt });
    this.#notes.log.warn({ expiresAt }, "the upstream's expires_at cannot be: is a clock wrong?");
  }
}
