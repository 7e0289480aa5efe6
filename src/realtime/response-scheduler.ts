import type { RealtimeClientEvent, ResponseCreateEvent } from 'openai/resources/realtime/realtime';

/** Overrides of one response. */
export type ResponseOverrides = NonNullable<ResponseCreateEvent['response']>;

/** How long a request waits for the server's own response after the caller stopped speaking. */
const SERVER_RESPONSE_WAIT_MS = 2_000;

/**
 * Asks for responses one at a time: the server has room for one, and refuses a `response.create` while another runs.
 * Requests made meanwhile become one request, sent when it is done; a response that starts after a request was made
 * answers it, whoever asked for it.
 */
export class ResponseScheduler {
  #send: (event: RealtimeClientEvent) => boolean;
  #active = new Set<string>();
  #sentEventId: string | undefined;
  #sentOverrides: ResponseOverrides | undefined;
  #wanted: { overrides: ResponseOverrides | undefined } | undefined;
  #held = false;
  #releaseTimer: NodeJS.Timeout | undefined;
  #count = 0;

  constructor(send: (event: RealtimeClientEvent) => boolean) {
    this.#send = send;
  }

  /** Ids of the responses that run. */
  get active(): ReadonlySet<string> {
    return this.#active;
  }

  /** Whether a response runs or was asked for. */
  get isBusy(): boolean {
    return this.#active.size > 0 || this.#sentEventId !== undefined || this.#wanted !== undefined;
  }

  request(overrides?: ResponseOverrides): void {
    this.#wanted = { overrides };
    this.#sendWanted();
  }

  /** The caller speaks: nothing is asked for until `release` or the server's own response. */
  hold(): void {
    clearTimeout(this.#releaseTimer);
    this.#held = true;
  }

  /** The caller stopped. With `serverResponds` the server gets time for a response of its own. */
  release(serverResponds: boolean): void {
    clearTimeout(this.#releaseTimer);
    const release = () => {
      this.#held = false;
      this.#sendWanted();
    };
    if (serverResponds && this.#held) this.#releaseTimer = setTimeout(release, SERVER_RESPONSE_WAIT_MS);
    else release();
  }

  started(responseId: string): void {
    this.#active.add(responseId);
    this.#sentEventId = undefined;
    this.#wanted = undefined;
    clearTimeout(this.#releaseTimer);
    this.#held = false;
  }

  done(responseId: string): void {
    this.#active.delete(responseId);
    this.#sendWanted();
  }

  /** An `error` event named one of our requests. Returns whether it was one. */
  rejected(eventId: string, code: string | null | undefined): boolean {
    if (eventId !== this.#sentEventId) return false;
    this.#sentEventId = undefined;
    if (code === 'conversation_already_has_active_response') {
      this.#wanted ??= { overrides: this.#sentOverrides };
      this.#sendWanted();
    }
    return true;
  }

  /** The connection is new: nothing runs on it. What was asked for and not begun is asked for again by its owner. */
  reset(): void {
    clearTimeout(this.#releaseTimer);
    this.#active.clear();
    this.#sentEventId = undefined;
    this.#wanted = undefined;
    this.#held = false;
  }

  close(): void {
    this.reset();
    this.#held = true;
  }

  #sendWanted(): void {
    if (!this.#wanted || this.#held || this.#active.size > 0 || this.#sentEventId !== undefined) return;
    const { overrides } = this.#wanted;
    const eventId = `response-${++this.#count}`;
    const sent = this.#send({
      type: 'response.create',
      event_id: eventId,
      ...(overrides ? { response: overrides } : {}),
    });
    if (!sent) return;
    this.#wanted = undefined;
    this.#sentEventId = eventId;
    this.#sentOverrides = overrides;
  }
}
