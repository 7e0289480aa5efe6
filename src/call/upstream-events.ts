import { monotonicNowMs } from '../clock.ts';
import { oneLine } from '../upstream/one-line.ts';
import type { ReportedEvent } from '../workers/session/service.ts';
import type { CallObserver } from './record/observer.ts';
import type { CallRecord } from './record/record.ts';
import type { SessionClock } from './session-clock.ts';

export interface UpstreamEventsOptions {
  readonly record: CallRecord;
  readonly observer: CallObserver;
  readonly clock: SessionClock;
  /** The connection is lost; another is being made. */
  readonly onLost: (isAnswerDue: boolean) => void;
  readonly onSpeech: () => void;
  /** The upstream is gone for good. */
  readonly onFailed: (code: string, message: string) => void;
}

/** Does what follows on the main thread from what a call's session reports. */
export class UpstreamEvents {
  readonly #options: UpstreamEventsOptions;

  constructor(options: UpstreamEventsOptions) {
    this.#options = options;
  }

  handle(event: ReportedEvent): void {
    const { record, observer, clock, onLost, onSpeech, onFailed } = this.#options;
    observer.upstream(event);
    switch (event.type) {
      case 'speech_started':
        clock.onSpeech(true, monotonicNowMs());
        onSpeech();
        break;
      case 'speech_stopped':
        clock.onSpeech(false, monotonicNowMs());
        break;
      case 'item_added':
        record.addItem(event.itemId, event.previousItemId, event.role, event.atMs);
        break;
      case 'item_removed':
        record.removeItem(event.itemId);
        break;
      case 'item_renamed':
        record.renameItem(event.itemId, event.newItemId);
        break;
      case 'user_text':
        record.userText(event.itemId, event.text === null ? null : oneLine(event.text));
        break;
      case 'assistant_text':
        record.replies.setText(event.itemId, oneLine(event.text), event.audioMs);
        break;
      case 'response_started':
      case 'response_done':
        clock.onAgentActive(monotonicNowMs());
        break;
      case 'upstream_lost':
        clock.onUpstream(false, monotonicNowMs());
        onLost(event.isAnswerDue);
        break;
      case 'upstream_restored':
      case 'rotated':
        clock.onUpstream(true, monotonicNowMs());
        break;
      case 'upstream_failed':
        onFailed(event.code, event.message);
        break;
    }
  }
}
