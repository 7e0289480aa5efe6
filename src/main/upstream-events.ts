import { hrNowMs } from '../metrics/clock.ts';
import type { SessionEvent } from '../realtime/host.ts';
import type { CallObserver } from './call-observer.ts';
import type { CallRecord } from './call-record.ts';
import type { SessionClock } from './session-clock.ts';

export interface UpstreamEventsOptions {
  readonly record: CallRecord;
  readonly observer: CallObserver;
  readonly clock: SessionClock;
  /** The upstream is gone for good. */
  readonly onFailed: (code: string, message: string) => void;
}

/** Does what follows on the main thread from what a call's session reports. */
export class UpstreamEvents {
  readonly #options: UpstreamEventsOptions;

  constructor(options: UpstreamEventsOptions) {
    this.#options = options;
  }

  handle(event: SessionEvent): void {
    const { record, observer, clock, onFailed } = this.#options;
    observer.upstream(event);
    switch (event.type) {
      case 'speech_started':
        clock.onSpeech(true, hrNowMs());
        break;
      case 'speech_stopped':
        clock.onSpeech(false, hrNowMs());
        break;
      case 'item_added':
        record.conversation.add(event.itemId, event.previousItemId, event.role);
        break;
      case 'item_removed':
        record.removeItem(event.itemId);
        break;
      case 'user_text':
        record.userText(event.itemId, event.text);
        break;
      case 'assistant_text':
        record.replies.setText(event.itemId, event.text);
        break;
      case 'upstream_failed':
        onFailed(event.code, event.message);
        break;
    }
  }
}
