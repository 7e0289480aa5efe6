import type { Logger } from 'pino';
import { hrNowMs } from '../metrics/clock.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { SessionEvent, TokenUsage } from '../realtime/host.ts';
import type { CallRecord } from './call-record.ts';
import type { CallTimeline } from './call-timeline.ts';
import type { AudioEntry } from './outbox.ts';
import type { SessionClock } from './session-clock.ts';

export interface UpstreamEventsOptions {
  readonly record: CallRecord;
  readonly timeline: CallTimeline;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: SessionClock;
  /** The upstream is gone for good. */
  readonly onFailed: (code: string, message: string) => void;
}

/** Takes note of what a call's session reports: on its record, its timeline, the metrics and the log. */
export class UpstreamEvents {
  readonly #options: UpstreamEventsOptions;
  /** When the caller's last turn ended, until its answer is handed over. */
  #turnEndedAtMs: number | undefined;
  #hasSpoken = false;

  constructor(options: UpstreamEventsOptions) {
    this.#options = options;
  }

  handle(event: SessionEvent): void {
    const { record, timeline, metrics, log, clock, onFailed } = this.#options;
    switch (event.type) {
      case 'ready':
        metrics.upstreamConnect.observe(event.connectMs / 1000);
        timeline.add('ready', { connectMs: event.connectMs, attempt: event.attempt });
        break;
      case 'speech_started':
        clock.onSpeech(true, hrNowMs());
        timeline.add('speech_started');
        break;
      case 'speech_stopped':
        clock.onSpeech(false, hrNowMs());
        this.#turnEndedAtMs = event.atMs;
        timeline.add('speech_stopped');
        break;
      case 'item_added':
        record.conversation.add(event.itemId, event.previousItemId, event.role);
        break;
      case 'item_removed':
        record.removeItem(event.itemId);
        timeline.add('speech_ignored');
        break;
      case 'user_text':
        record.userText(event.itemId, event.text);
        timeline.add(event.text === null ? 'transcription_failed' : 'transcribed');
        break;
      case 'assistant_text':
        record.replies.setText(event.itemId, event.text);
        break;
      case 'response_started':
        timeline.add('response_started');
        break;
      case 'response_done': {
        const { status, reason, usage } = event;
        if (usage) this.#count(usage);
        timeline.add('response_done', { status, ...(reason ? { reason } : {}), ...(usage ? { usage } : {}) });
        if (status === 'failed') {
          metrics.upstreamErrors.inc({ class: 'response_failed' });
          log.warn({ reason }, 'the upstream failed to answer');
        }
        break;
      }
      case 'dtmf_sent':
        timeline.add('dtmf_sent', { count: event.digits.length });
        break;
      case 'truncated':
        timeline.add('truncated', { audioEndMs: event.audioEndMs });
        break;
      case 'upstream_error':
        metrics.upstreamErrors.inc({ class: event.verdict });
        timeline.add('upstream_error', { verdict: event.verdict, code: event.code });
        if (event.verdict !== 'benign') log.warn({ code: event.code, message: event.message }, 'upstream error');
        break;
      case 'upstream_lost':
        timeline.add('upstream_lost', { code: event.code });
        log.warn({ code: event.code }, 'upstream connection lost');
        break;
      case 'upstream_restored': {
        const { outageMs, attempt, droppedAudioMs } = event;
        metrics.upstreamReconnects.inc({ reason: 'lost' });
        if (droppedAudioMs > 0) metrics.audioRejected.inc({ reason: 'reconnecting' });
        timeline.add('upstream_restored', { outageMs, attempt, droppedAudioMs });
        log.info({ outageMs, attempt, droppedAudioMs }, 'upstream connection restored');
        break;
      }
      case 'rotated':
        metrics.upstreamReconnects.inc({ reason: 'rotated' });
        timeline.add('rotated', { tookMs: event.tookMs });
        log.info({ tookMs: event.tookMs }, 'upstream session rotated');
        break;
      case 'upstream_failed':
        metrics.upstreamErrors.inc({ class: 'failed' });
        log.error({ code: event.code, message: event.message }, 'upstream failed');
        onFailed(event.code, event.message);
        break;
    }
  }

  /** Reply audio is being handed to the client. */
  onReplyHandedOver(entries: readonly AudioEntry[], nowMs: number): void {
    const { timeline, metrics, log } = this.#options;
    const turnEndedAtMs = this.#turnEndedAtMs;
    if (turnEndedAtMs !== undefined && entries.some(({ queuedAtMs }) => queuedAtMs >= turnEndedAtMs)) {
      this.#turnEndedAtMs = undefined;
      const turnMs = nowMs - turnEndedAtMs;
      metrics.turnLatency.observe(turnMs / 1000);
      timeline.add('reply_handed_over', { turnMs });
    }
    if (!this.#hasSpoken) {
      this.#hasSpoken = true;
      timeline.add('first_audio');
      log.info('first audio');
    }
  }

  #count(usage: TokenUsage): void {
    const { upstreamTokens } = this.#options.metrics;
    const { inputText, inputAudio, cachedText, cachedAudio, outputText, outputAudio } = usage;
    // Cached tokens are part of the input tokens, and cheaper: they are counted once.
    upstreamTokens.inc({ type: 'input_text' }, inputText - cachedText);
    upstreamTokens.inc({ type: 'input_audio' }, inputAudio - cachedAudio);
    upstreamTokens.inc({ type: 'cached_text' }, cachedText);
    upstreamTokens.inc({ type: 'cached_audio' }, cachedAudio);
    upstreamTokens.inc({ type: 'output_text' }, outputText);
    upstreamTokens.inc({ type: 'output_audio' }, outputAudio);
  }
}
