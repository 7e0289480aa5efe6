import type { UpstreamError } from '../upstream/upstream-error.ts';
import type { ConversationParts } from './conversation-parts.ts';
import { goesOn } from './own-words.ts';
import type { ResponseOverrides } from './response-scheduler.ts';
import type { ResponseTracker } from './response-tracker.ts';
import type { ToldConversation } from './told-conversation.ts';
import type { Restored } from './upstream-link.ts';

export interface ConnectionChangeParts extends ConversationParts {
  readonly told: ToldConversation;
  readonly tracker: ResponseTracker;
}

/** What the lost connection did not finish, to be asked for again. */
interface LostReply {
  readonly overrides: ResponseOverrides | undefined;
  /** The caller was given the beginning of it. */
  readonly isPartial: boolean;
}

/** Takes the conversation from one connection to the next: what ends with the old one, and what the new one is asked. */
export class ConnectionChange {
  readonly #parts: ConnectionChangeParts;
  readonly #onGreetingOver: () => void;
  #isLost = false;
  #lostReply: LostReply | undefined;

  /** @param onGreetingOver called where the old connection had finished the greeting but for the last word */
  constructor(parts: ConnectionChangeParts, onGreetingOver: () => void) {
    this.#parts = parts;
    this.#onGreetingOver = onGreetingOver;
  }

  lost({ code, message }: UpstreamError): void {
    const { host, answer, tools } = this.#parts;
    this.#isLost = true;
    this.#leave();
    const isAnswerDue = answer.isOwed || this.#lostReply !== undefined || tools.isBusy;
    host.event({ type: 'upstream_lost', code, message, isAnswerDue });
  }

  restored({ cause, replayed, tookMs, attempt, droppedAudioMs }: Restored): void {
    const { host, told, answer, responses, tools, caller, tracker } = this.#parts;
    if (cause === 'rotated' && !this.#isLost) {
      this.#leave();
      host.event({ type: 'rotated', tookMs });
    } else {
      this.#isLost = false;
      host.event({ type: 'upstream_restored', outageMs: tookMs, attempt, droppedAudioMs });
    }
    told.told(replayed);
    tracker.restored();
    caller.restored(replayed);
    const lost = this.#lostReply;
    this.#lostReply = undefined;
    tools.restored(replayed);
    responses.resume();
    if (responses.isAsked) return;
    if (lost) {
      const goesFurther = lost.isPartial || goesOn(lost.overrides);
      responses.request(goesFurther ? told.continued(lost.overrides) : lost.overrides);
    } else if (answer.isOwed) {
      responses.request();
    }
  }

  /** What the old connection began will not be finished there; what came of it is played and stands. */
  #leave(): void {
    const { greeting, answer, items, running, responses, interrupter, caller } = this.#parts;
    caller.connectionLeft();
    if (greeting.responseId !== undefined && running.isSettled(greeting.responseId)) this.#onGreetingOver();
    // Whoever interrupts an answer does not wait for the rest of it.
    answer.connectionLeft((id) => running.isSettled(id) || items.isInterrupted(id));
    const lost = responses.reset((responseId) => !items.isInterrupted(responseId));
    const begun = lost?.responseId === undefined ? [] : items.ofResponse(lost.responseId);
    this.#lostReply = lost && {
      overrides: lost.overrides,
      isPartial: begun.some(({ receivedMs }) => receivedMs > 0),
    };
    items.finish(items.unfinished());
    items.retold();
    interrupter.lost();
  }
}
