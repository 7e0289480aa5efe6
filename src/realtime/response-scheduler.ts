import type { RealtimeClientEvent, ResponseCreateEvent } from 'openai/resources/realtime/realtime';
import type { RepairKind } from '../upstream/host.ts';
import type { IncomingError } from './incoming.ts';
import { type LossReason, type ResponseSilences, RunningResponses } from './running-responses.ts';

/** Overrides of one response. */
export type ResponseOverrides = NonNullable<ResponseCreateEvent['response']>;

/** How long the scheduler waits for what. Milliseconds. */
export interface ResponseTimes extends ResponseSilences {
  /** For a request to be taken up: for the response to begin, not for its audio. */
  readonly takeUpMs: number;
  /** For the server's own response to a turn, before the gateway asks for one. */
  readonly serverMs: number;
  /** Before a request is made again that was refused because of a response we have not heard of. */
  readonly conflictMs: number;
  /** Before a request is made again that was refused, or whose response came to nothing. */
  readonly retryMs: number;
  /** For the caller to stop speaking: a server that never says so is not waited for. */
  readonly speechMs: number;
}

/**
 * A response begins within a fraction of a second of its request, its audio within 5 s at the worst that was measured,
 * and pieces of it follow each other faster than they play. Together these answer a turn, or end the call, within 10 s.
 */
export const RESPONSE_TIMES: ResponseTimes = {
  takeUpMs: 2_500,
  serverMs: 2_000,
  conflictMs: 500,
  retryMs: 750,
  thinkingMs: 8_000,
  silenceMs: 5_000,
  lastWordMs: 2_000,
  speechMs: 60_000,
};

/** Times that a request is made before the upstream is given up. */
const MAX_TRIES = 3;
/** Conflicts with a response that we have not heard of, before it is cancelled unseen. */
const MAX_CONFLICTS = 3;
const REQUEST_ID = /^response-\d+(\.\d+)?$/;
const CANCEL_ID = /^cancel-\d+$/;

/** What became of a request that an `error` event is about. `foreign`: it was about none of ours. */
export type Rejection = 'foreign' | 'harmless' | 'refused';

/** A response that was not finished when its connection was lost. */
export interface LostResponse {
  readonly overrides: ResponseOverrides | undefined;
  /** Absent: it had not begun. */
  readonly responseId?: string;
}

/** What a response is that begins. `twice`: the answer to a request that was answered before. */
export interface Started {
  readonly by: 'gateway' | 'server' | 'twice';
  readonly overrides: ResponseOverrides | undefined;
}

export interface ResponseListener {
  /** The server had time for a response of its own to a turn, and began none. */
  onServerSilent(): void;
  /** A response is taken to be over: `done` or `failed` is to be called for it. */
  onLost(responseId: string, why: LossReason): void;
  /** Something was done again. */
  onRepair(kind: RepairKind): void;
  /** No request is taken up any more. */
  onGivenUp(): void;
}

interface Request {
  readonly overrides: ResponseOverrides | undefined;
  /** A response may be under way that began without knowing why this one is wanted. */
  readonly isLate: boolean;
  /** Given when it is made for the first time; comes back with the response. */
  readonly name?: string;
  /** Times that it was made in vain. */
  readonly tries: number;
  readonly conflicts: number;
}

const FRESH = { tries: 0, conflicts: 0 };

/**
 * Asks for responses one at a time: the server has room for one, and refuses a `response.create` while another runs.
 * Requests made meanwhile become one request, sent when it is done; a response of the server's own that starts after a
 * request was made answers it.
 *
 * Every state is left by a deadline too: a request that is not taken up is made again, a response of which nothing more
 * comes counts as over.
 */
export class ResponseScheduler {
  readonly #send: (event: RealtimeClientEvent) => boolean;
  readonly #listener: ResponseListener;
  readonly #times: ResponseTimes;
  readonly #running: RunningResponses;
  #sent: (Request & { readonly name: string; readonly eventId: string }) | undefined;
  #wanted: Request | undefined;
  #held = false;
  /** The request that was answered last. */
  #answered: string | undefined;
  /** Cancels by their event ids, with the response that each is about. */
  readonly #cancels = new Map<string, string>();
  #takeUpTimer: NodeJS.Timeout | undefined;
  #serverTimer: NodeJS.Timeout | undefined;
  #laterTimer: NodeJS.Timeout | undefined;
  #holdTimer: NodeJS.Timeout | undefined;
  #count = 0;

  constructor(
    send: (event: RealtimeClientEvent) => boolean,
    listener: ResponseListener,
    times: ResponseTimes = RESPONSE_TIMES,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#send = send;
    this.#listener = listener;
    this.#times = times;
    this.#running = new RunningResponses(times, nowMs, (responseId, why) => listener.onLost(responseId, why));
  }

  /** Ids of the responses that run. */
  get active(): ReadonlySet<string> {
    return new Set(this.#running.ids());
  }

  /** Whether a response runs, was asked for, or is expected of the server. */
  get isBusy(): boolean {
    return this.isAsked || this.#serverTimer !== undefined || this.#laterTimer !== undefined;
  }

  /** Whether a response runs or was asked for. */
  get isAsked(): boolean {
    return this.#running.size > 0 || this.#sent !== undefined || this.#wanted !== undefined;
  }

  request(overrides?: ResponseOverrides): void {
    const isLate = this.#serverTimer !== undefined || this.#sent !== undefined;
    const { tries, conflicts } = this.#wanted ?? FRESH;
    this.#wanted = { overrides, isLate, tries, conflicts };
    this.resume();
  }

  /** As `request`, in a while; a response that starts before answers it. */
  requestLater(overrides: ResponseOverrides | undefined, delayMs: number): void {
    this.#later({ overrides, isLate: false, ...FRESH }, delayMs);
  }

  /** The caller speaks: nothing is asked for until `release` or the server's own response. */
  hold(): void {
    this.#stopExpecting();
    this.#held = true;
    clearTimeout(this.#holdTimer);
    this.#holdTimer = setTimeout(() => this.release(false), this.#times.speechMs);
  }

  /** The caller stopped. With `serverResponds` the server gets time for a response of its own. */
  release(serverResponds: boolean): void {
    this.#held = false;
    clearTimeout(this.#holdTimer);
    if (serverResponds) this.expectServer();
    else this.resume();
  }

  /** A turn is over that the server will answer by itself: nothing is asked for within `waitMs`. */
  expectServer(waitMs = this.#times.serverMs): void {
    this.#stopExpecting();
    this.#serverTimer = setTimeout(() => {
      this.#serverTimer = undefined;
      this.#listener.onServerSilent();
      this.resume();
    }, waitMs);
  }

  /** Sends what is wanted, if the time is right. */
  resume(): void {
    if (!this.#wanted || this.#held || this.#running.size > 0) return;
    if (this.#sent !== undefined || this.#serverTimer !== undefined || this.#laterTimer !== undefined) return;
    const { overrides, tries, name = `response-${++this.#count}` } = this.#wanted;
    const eventId = tries === 0 ? name : `${name}.${tries}`;
    // The metadata comes back with the response and tells it from one of the server's own.
    const response = { ...overrides, metadata: { ...overrides?.metadata, request: name } };
    if (!this.#send({ type: 'response.create', event_id: eventId, response })) return;
    this.#sent = { ...this.#wanted, name, eventId };
    this.#wanted = undefined;
    this.#takeUpTimer = setTimeout(() => this.#onNotTakenUp(), this.#times.takeUpMs);
  }

  // What begins, goes on and ends

  /** Whether a response has begun of which nothing was known: its first event says so as well as its own would. */
  isNew(responseId: string): boolean {
    return !this.#running.heardOf(responseId) && !this.#running.isOver(responseId);
  }

  /** @param name the request that it says it answers, in its metadata */
  started(responseId: string, name?: string): Started {
    const before = this.#running.ids();
    const request = this.#answeredBy(name);
    const isTwice = name !== undefined && name === this.#answered;
    this.#running.begin(responseId, request?.overrides);
    if (request) {
      this.#answered = request.name;
      this.#unsend();
      if (this.#wanted?.name === request.name) this.#unwant();
    } else if (!isTwice) {
      if (!this.#wanted?.isLate) this.#unwant();
      this.#stopExpecting();
    }
    // The server has room for one, so what ran is over, and the word of it was lost.
    for (const other of before) this.#listener.onLost(other, 'superseded');
    return { by: request ? 'gateway' : isTwice ? 'twice' : 'server', overrides: request?.overrides };
  }

  itemStarted(responseId: string, itemId: string): void {
    this.#running.itemStarted(responseId, itemId);
  }

  /** @param kind `mayBeLast`: whether the response may be over with this item */
  itemDone(responseId: string, itemId: string, kind: { mayBeLast: boolean; callsTool: boolean }): void {
    this.#running.itemDone(responseId, itemId, kind);
  }

  /** See {@link RunningResponses.isSettled}. */
  isSettled(responseId: string): boolean {
    return this.#running.isSettled(responseId);
  }

  /** Whether a response was ended: what comes of it now is late. */
  isOver(responseId: string): boolean {
    return this.#running.isOver(responseId);
  }

  /** What is asked for anew where a response came to nothing. */
  overridesOf(responseId: string): ResponseOverrides | undefined {
    return this.#running.overridesOf(responseId);
  }

  /** Cancels a running response, once. */
  cancel(responseId: string): void {
    if (!this.#running.cancel(responseId)) return;
    const eventId = `cancel-${++this.#count}`;
    this.#cancels.set(eventId, responseId);
    if (this.#cancels.size > MAX_TRIES) this.#cancels.delete(this.#cancels.keys().next().value ?? '');
    this.#send({ type: 'response.cancel', event_id: eventId, response_id: responseId });
  }

  done(responseId: string): void {
    this.#running.end(responseId);
    this.resume();
  }

  /** The response came to nothing: it is asked for once more in a while, unless another is wanted anyway. */
  failed(responseId: string, overrides = this.#running.overridesOf(responseId)): void {
    this.#running.end(responseId);
    if (this.#wanted) this.resume();
    else this.requestLater(overrides, this.#times.retryMs);
  }

  // What is refused

  /** An `error` event came. A request that was `refused` is made once more in a while. */
  rejected(error: IncomingError): Rejection {
    const { code, eventId } = error;
    if (code === 'response_cancel_not_active') return this.#cancelRejected(eventId);
    if (eventId === undefined) return this.#unattributed(error);
    if (!REQUEST_ID.test(eventId)) return CANCEL_ID.test(eventId) ? 'harmless' : 'foreign';
    const sent = this.#sent;
    if (eventId !== sent?.eventId) return 'harmless';
    this.#unsend();
    if (code === 'conversation_already_has_active_response') {
      this.#onConflict(sent);
      return 'harmless';
    }
    if (!this.#wanted) this.#later({ ...sent, isLate: false }, this.#times.retryMs);
    return 'refused';
  }

  /**
   * The connection is new: nothing runs on it.
   * @param isWanted whether anybody waits for the rest of a running response
   * @returns what was not finished and is to be asked for again
   */
  reset(isWanted: (responseId: string) => boolean): LostResponse | undefined {
    let lost: LostResponse | undefined;
    for (const responseId of this.#running.ids()) {
      const overrides = this.#running.overridesOf(responseId);
      if (!this.isSettled(responseId) && isWanted(responseId)) lost = { overrides, responseId };
    }
    const pending = this.#wanted ?? this.#sent;
    if (pending) lost = { overrides: pending.overrides };
    this.#running.clear();
    this.#cancels.clear();
    this.#unsend();
    this.#unwant();
    this.#held = false;
    clearTimeout(this.#holdTimer);
    this.#stopExpecting();
    return lost;
  }

  /** Asks for nothing any more. Idempotent. */
  close(): void {
    this.reset(() => false);
    this.#held = true;
  }

  // Inside

  /** The request that a response answers which begins now. */
  #answeredBy(name: string | undefined): Request | undefined {
    if (name !== undefined) return [this.#sent, this.#wanted].find((request) => request?.name === name);
    // A server that does not give the metadata back: what was asked for last is what begins.
    return this.#serverTimer === undefined ? this.#sent : undefined;
  }

  #onNotTakenUp(): void {
    const sent = this.#sent;
    this.#unsend();
    // What began instead answers it.
    if (sent && this.#running.size === 0) this.#again(sent, 0);
  }

  /** Makes a request again that came to nothing, so many times. */
  #again(request: Request, delayMs: number): void {
    const tries = request.tries + 1;
    if (tries >= MAX_TRIES) {
      this.#listener.onGivenUp();
      return;
    }
    this.#listener.onRepair('request_repeated');
    // A newer request stands in its place, and has its tries to go on with.
    this.#later(this.#wanted ? { ...this.#wanted, tries } : { ...request, tries, isLate: false }, delayMs);
  }

  #cancelRejected(eventId: string | undefined): Rejection {
    const named = eventId === undefined ? undefined : this.#cancels.get(eventId);
    const over = named === undefined ? this.#running.cancelled() : [named];
    for (const responseId of over) {
      if (this.#running.has(responseId)) this.#listener.onLost(responseId, 'not_active');
    }
    return 'harmless';
  }

  /** An error that names no event may be the answer to the request that has none yet: that is not waited for longer. */
  #unattributed({ code }: IncomingError): Rejection {
    const sent = this.#sent;
    if (!sent || (code !== undefined && ABOUT_SOMETHING_ELSE.has(code))) return 'foreign';
    this.#unsend();
    if (code === 'conversation_already_has_active_response') this.#onConflict(sent);
    else this.#again(sent, this.#times.retryMs);
    return 'harmless';
  }

  #onConflict(request: Request): void {
    const isOvertaken = this.#running.size > 0;
    // What has words of its own, a greeting or a prompt, is pointless behind another response.
    if (isOvertaken && !this.#wanted && request.overrides?.input) return;
    const conflicts = request.conflicts + 1;
    this.#wanted = this.#wanted
      ? { ...this.#wanted, conflicts }
      : { ...request, conflicts, isLate: request.overrides?.input === undefined };
    if (isOvertaken) return;
    // Nobody has heard of the response in the way.
    if (conflicts === MAX_CONFLICTS) this.#send({ type: 'response.cancel', event_id: `cancel-${++this.#count}` });
    if (conflicts > 2 * MAX_CONFLICTS) this.#listener.onGivenUp();
    else this.#later(this.#wanted, this.#times.conflictMs);
  }

  #later(request: Request, delayMs: number): void {
    this.#wanted = request;
    clearTimeout(this.#laterTimer);
    this.#laterTimer = setTimeout(() => {
      this.#laterTimer = undefined;
      this.resume();
    }, delayMs);
  }

  #unwant(): void {
    this.#wanted = undefined;
    clearTimeout(this.#laterTimer);
    this.#laterTimer = undefined;
  }

  #unsend(): void {
    this.#sent = undefined;
    clearTimeout(this.#takeUpTimer);
  }

  #stopExpecting(): void {
    clearTimeout(this.#serverTimer);
    this.#serverTimer = undefined;
  }
}

/** Codes of errors that are about no response, though they do not say what they are about. */
const ABOUT_SOMETHING_ELSE = new Set([
  'item_not_found',
  'item_truncate_invalid_item_id',
  'input_audio_buffer_commit_empty',
  'invalid_tool_call_id',
  'cannot_update_voice',
  'session_expired',
]);
