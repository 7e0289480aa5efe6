import type { EventSender } from './event-sender.ts';

const CANCEL_ID = /^cancel-\d+$/;
/** Only a refusal is answered by event id, and soon. */
const MAX_REMEMBERED = 3;

/** The cancels that were sent, so that a refusal can be told to be of one. */
export class Cancels {
  readonly #link: EventSender;
  /** By their event ids, with the response that each is about. */
  readonly #sent = new Map<string, string>();
  #count = 0;

  constructor(link: EventSender) {
    this.#link = link;
  }

  /** Whether an event id is one of a cancel. */
  static isId(eventId: string): boolean {
    return CANCEL_ID.test(eventId);
  }

  send(responseId: string): void {
    const eventId = this.#nextId();
    this.#sent.set(eventId, responseId);
    if (this.#sent.size > MAX_REMEMBERED) this.#sent.delete(this.#sent.keys().next().value ?? '');
    this.#link.send({ type: 'response.cancel', event_id: eventId, response_id: responseId });
  }

  /** Cancels whatever runs, where its id is not known. */
  sendUnseen(): void {
    this.#link.send({ type: 'response.cancel', event_id: this.#nextId() });
  }

  /** The response that a cancel was about. */
  responseOf(eventId: string | undefined): string | undefined {
    return eventId === undefined ? undefined : this.#sent.get(eventId);
  }

  /** The connection is gone, and with it what it was asked. */
  clear(): void {
    this.#sent.clear();
  }

  #nextId(): string {
    return `cancel-${++this.#count}`;
  }
}
