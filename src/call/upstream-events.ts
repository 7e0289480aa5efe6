import { monotonicNowMs } from '../clock.ts';
import type { ReplyAudio } from '../upstream/host.ts';
import { oneLine } from '../upstream/one-line.ts';
import type { ReportedEvent } from '../workers/session/service.ts';
import type { CallGuard } from './guard.ts';
import type { CallObserver } from './record/observer.ts';
import type { ReplyPath } from './reply/reply-path.ts';
import type { SessionClock } from './session-clock.ts';
import type { UpstreamListener } from './upstream-call.ts';

/** Told what ends a call's session, or may end it. */
export interface UpstreamEventsListener {
  /** The upstream is gone for good. */
  onUpstreamFailed(code: string, message: string): void;
  onWorkerLost(error: Error): void;
}

export interface UpstreamEventsOptions {
  readonly replyPath: ReplyPath;
  readonly observer: CallObserver;
  readonly clock: SessionClock;
  readonly guard: CallGuard;
  readonly listener: UpstreamEventsListener;
}

/** Does what follows on the main thread from what a call's session says and reports. */
export class UpstreamEvents implements UpstreamListener {
  readonly #options: UpstreamEventsOptions;

  constructor(options: UpstreamEventsOptions) {
    this.#options = options;
  }

  onAudio(audio: ReplyAudio): Promise<void> | undefined {
    return this.#options.replyPath.downlink.accept(audio);
  }

  onWorkerLost(error: Error): void {
    this.#options.replyPath.abandon();
    this.#options.listener.onWorkerLost(error);
  }

  onFailed(error: Error): void {
    this.#options.guard.failed(error);
  }

  onEvent(event: ReportedEvent): void {
    const { replyPath, observer, clock, listener } = this.#options;
    const { replies, transcript } = replyPath;
    observer.upstream(event);
    switch (event.type) {
      case 'speech_started':
        clock.onSpeech(true, monotonicNowMs());
        replyPath.stopFiller();
        break;
      case 'speech_stopped':
        clock.onSpeech(false, monotonicNowMs());
        break;
      case 'item_added':
        transcript.addItem(event.itemId, event.previousItemId, event.role, event.atMs);
        break;
      case 'item_removed':
        transcript.removeItem(event.itemId);
        break;
      case 'item_renamed':
        transcript.renameItem(event.itemId, event.newItemId);
        replies.find(event.itemId)?.settledUpstream();
        break;
      case 'truncated':
        replies.find(event.itemId)?.settledUpstream();
        break;
      case 'user_text':
        transcript.userText(event.itemId, event.text === null ? null : oneLine(event.text));
        break;
      case 'assistant_text':
        replies.setWords(event.itemId, oneLine(event.text), event.audioMs);
        break;
      case 'response_started':
      case 'response_done':
        clock.onAgentActive(monotonicNowMs());
        break;
      case 'upstream_lost':
        clock.onUpstream(false, monotonicNowMs());
        if (event.isAnswerDue) replyPath.awaitAnswer();
        break;
      case 'upstream_restored':
      case 'rotated':
        clock.onUpstream(true, monotonicNowMs());
        break;
      case 'upstream_failed':
        listener.onUpstreamFailed(event.code, event.message);
        break;
    }
  }
}
