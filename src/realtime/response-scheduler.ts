import type { RealtimeClientEvent, RealtimeResponse, ResponseCreateEvent } from 'openai/resources/realtime/realtime';

/** Overrides of one response. */
export type ResponseOverrides = NonNullable<ResponseCreateEvent['response']>;

/** How long a turn waits for the server's own response before the gateway asks for one. */
const SERVER_RESPONSE_WAIT_MS = 2_000;
/** Wait before a request that the server refused because of a response we have not heard of is made again. */
const CONFLICT_WAIT_MS = 500;
const EVENT_ID = /^response-\d+$/;

/** What became of a request that an `error` event names. `foreign`: it was none of ours. */
export type Rejection = 'foreign' | 'harmless' | 'refused';

/** A response that was not finished when its connection was lost. */
export interface LostResponse {
  readonly overrides: ResponseOverrides | undefined;
  /** Absent: it had not begun. */
  readonly responseId?: string;
}

interface Running {
  readonly overrides: ResponseOverrides | undefined;
  readonly openItems: Set<string>;
  itemCount: number;
  /** Whether the newest item that is done may be the last: it is no comment before something else. */
  mayBeOver: boolean;
  callsTool: boolean;
  isCancelled: boolean;
}

/**
 * Asks for responses one at a time: the server has room for one, and refuses a `response.create` while another runs.
 * Requests made meanwhile become one request, sent when it is done; a response of the server's own that starts after a
 * request was made answers it.
 */
export class ResponseScheduler {
  readonly #send: (event: RealtimeClientEvent) => boolean;
  readonly #onServerSilent: () => void;
  readonly #active = new Map<string, Running>();
  #sent: { readonly eventId: string; readonly overrides: ResponseOverrides | undefined } | undefined;
  /** `isLate`: a response may be under way that began without knowing why this one is wanted. */
  #wanted: { readonly overrides: ResponseOverrides | undefined; readonly isLate: boolean } | undefined;
  #held = false;
  #serverTimer: NodeJS.Timeout | undefined;
  #laterTimer: NodeJS.Timeout | undefined;
  #count = 0;

  /** @param onServerSilent the server had time for a response of its own to a turn, and began none */
  constructor(send: (event: RealtimeClientEvent) => boolean, onServerSilent: () => void) {
    this.#send = send;
    this.#onServerSilent = onServerSilent;
  }

  /** Ids of the responses that run. */
  get active(): ReadonlySet<string> {
    return new Set(this.#active.keys());
  }

  /** Whether a response runs, was asked for, or is expected of the server. */
  get isBusy(): boolean {
    return this.isAsked || this.#serverTimer !== undefined || this.#laterTimer !== undefined;
  }

  /** Whether a response runs or was asked for. */
  get isAsked(): boolean {
    return this.#active.size > 0 || this.#sent !== undefined || this.#wanted !== undefined;
  }

  request(overrides?: ResponseOverrides): void {
    this.#wanted = { overrides, isLate: this.#serverTimer !== undefined || this.#sent !== undefined };
    this.resume();
  }

  /** As `request`, in a while; a response that starts before answers it. */
  requestLater(overrides: ResponseOverrides | undefined, delayMs: number): void {
    this.#wanted = { overrides, isLate: false };
    clearTimeout(this.#laterTimer);
    this.#laterTimer = setTimeout(() => {
      this.#laterTimer = undefined;
      this.resume();
    }, delayMs);
  }

  /** The caller speaks: nothing is asked for until `release` or the server's own response. */
  hold(): void {
    this.#stopExpecting();
    this.#held = true;
  }

  /** The caller stopped. With `serverResponds` the server gets time for a response of its own. */
  release(serverResponds: boolean): void {
    this.#held = false;
    if (serverResponds) this.expectServer();
    else this.resume();
  }

  /** A turn is over that the server will answer by itself: nothing is asked for within `waitMs`. */
  expectServer(waitMs = SERVER_RESPONSE_WAIT_MS): void {
    this.#stopExpecting();
    this.#serverTimer = setTimeout(() => {
      this.#serverTimer = undefined;
      this.#onServerSilent();
      this.resume();
    }, waitMs);
  }

  /** Sends what is wanted, if the time is right. */
  resume(): void {
    if (!this.#wanted || this.#held || this.#active.size > 0) return;
    if (this.#sent !== undefined || this.#serverTimer !== undefined || this.#laterTimer !== undefined) return;
    const { overrides } = this.#wanted;
    const eventId = `response-${++this.#count}`;
    // The metadata comes back with the response and tells it from one of the server's own.
    const response = { ...overrides, metadata: { ...overrides?.metadata, request: eventId } };
    if (!this.#send({ type: 'response.create', event_id: eventId, response })) return;
    this.#wanted = undefined;
    this.#sent = { eventId, overrides };
  }

  /** @returns whether it is one that was asked for here */
  started({ id, metadata }: RealtimeResponse): boolean {
    const name = metadata?.['request'];
    const isOurs = this.#sent !== undefined && (name ? name === this.#sent.eventId : this.#serverTimer === undefined);
    if (isOurs) {
      this.#begin(id ?? '', this.#sent?.overrides);
      this.#sent = undefined;
      return true;
    }
    this.#begin(id ?? '', undefined);
    if (!this.#wanted?.isLate) {
      this.#wanted = undefined;
      clearTimeout(this.#laterTimer);
      this.#laterTimer = undefined;
    }
    this.#stopExpecting();
    return false;
  }

  itemStarted(responseId: string, itemId: string): void {
    const running = this.#active.get(responseId);
    if (!running) return;
    running.openItems.add(itemId);
    running.itemCount += 1;
  }

  /** @param mayBeLast whether the response may be over with this item */
  itemDone(responseId: string, itemId: string, kind: { mayBeLast: boolean; callsTool: boolean }): void {
    const running = this.#active.get(responseId);
    if (!running) return;
    running.openItems.delete(itemId);
    running.mayBeOver = kind.mayBeLast;
    running.callsTool ||= kind.callsTool;
  }

  /**
   * Whether nothing of a running response is missing but the word that it is done, or functions that it called take it
   * further.
   */
  isSettled(responseId: string): boolean {
    const running = this.#active.get(responseId);
    if (!running) return false;
    return running.callsTool || (running.itemCount > 0 && running.openItems.size === 0 && running.mayBeOver);
  }

  /** Cancels a running response, once. */
  cancel(responseId: string): void {
    const running = this.#active.get(responseId);
    if (!running || running.isCancelled) return;
    running.isCancelled = true;
    this.#send({ type: 'response.cancel', response_id: responseId });
  }

  done(responseId: string): void {
    this.#active.delete(responseId);
    this.resume();
  }

  /** The response came to nothing: it is asked for once more in a while, unless another is wanted anyway. */
  failed(responseId: string, retryDelayMs: number): void {
    const overrides = this.#active.get(responseId)?.overrides;
    this.#active.delete(responseId);
    if (this.#wanted) this.resume();
    else this.requestLater(overrides, retryDelayMs);
  }

  /** An `error` event came that names `eventId`. A request that was `refused` is made once more in a while. */
  rejected(eventId: string, code: string | null | undefined, retryDelayMs: number): Rejection {
    if (!EVENT_ID.test(eventId)) return 'foreign';
    if (eventId !== this.#sent?.eventId) return 'harmless';
    const { overrides } = this.#sent;
    this.#sent = undefined;
    if (code !== 'conversation_already_has_active_response') {
      if (!this.#wanted) this.requestLater(overrides, retryDelayMs);
      return 'refused';
    }
    // What has words of its own, a greeting or a prompt, is pointless behind another response.
    if (!this.#wanted && overrides?.input) return 'harmless';
    this.#wanted ??= { overrides, isLate: true };
    if (this.#active.size === 0) this.requestLater(this.#wanted.overrides, CONFLICT_WAIT_MS);
    return 'harmless';
  }

  /**
   * The connection is new: nothing runs on it.
   * @param isWanted whether anybody waits for the rest of a running response
   * @returns what was not finished and is to be asked for again
   */
  reset(isWanted: (responseId: string) => boolean): LostResponse | undefined {
    let lost: LostResponse | undefined;
    for (const [responseId, { overrides }] of this.#active) {
      if (!this.isSettled(responseId) && isWanted(responseId)) lost = { overrides, responseId };
    }
    const pending = this.#wanted ?? this.#sent;
    if (pending) lost = { overrides: pending.overrides };
    this.#active.clear();
    this.#sent = undefined;
    this.#wanted = undefined;
    this.#held = false;
    this.#stopExpecting();
    clearTimeout(this.#laterTimer);
    this.#laterTimer = undefined;
    return lost;
  }

  /** Asks for nothing any more. Idempotent. */
  close(): void {
    this.reset(() => false);
    this.#held = true;
  }

  #begin(responseId: string, overrides: ResponseOverrides | undefined): void {
    this.#active.set(responseId, {
      overrides,
      openItems: new Set(),
      itemCount: 0,
      mayBeOver: false,
      callsTool: false,
      isCancelled: false,
    });
  }

  #stopExpecting(): void {
    clearTimeout(this.#serverTimer);
    this.#serverTimer = undefined;
  }
}
