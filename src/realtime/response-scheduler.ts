import type { ResponseCreateEvent } from 'openai/resources/realtime/realtime';
import type { ConversationHost } from '../upstream/host.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { AskingTime } from './asking-time.ts';
import { Cancels } from './cancels.ts';
import type { EventSender } from './event-sender.ts';
import type { IncomingError } from './incoming.ts';
import type { OwedAnswer } from './owed-answer.ts';
import type { ResponseTimes } from './response-times.ts';
import type { RunningResponses } from './running-responses.ts';

/** Overrides of one response. */
export type ResponseOverrides = NonNullable<ResponseCreateEvent['response']>;

/** Times that a request is made before the upstream is given up. */
const MAX_TRIES = 3;
/** Conflicts with a response that we have not heard of, before it is cancelled unseen. */
const MAX_CONFLICTS = 3;
const REQUEST_ID = /^response-\d+(\.\d+)?$/;

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

export interface SchedulerListener {
  /** The upstream takes up no request any more: the call cannot go on. */
  onFailed(error: UpstreamError): void;
}

export interface ResponseSchedulerOptions {
  readonly link: EventSender;
  readonly host: Pick<ConversationHost, 'event'>;
  /** Whether the caller waits for an answer, when the server has not begun one by itself. */
  readonly answer: Pick<OwedAnswer, 'isOwed'>;
  readonly running: RunningResponses;
  readonly times: ResponseTimes;
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
 * Every state is left by a deadline too: a request that is not taken up is made again.
 */
export class ResponseScheduler {
  readonly #link: EventSender;
  readonly #host: Pick<ConversationHost, 'event'>;
  readonly #answer: Pick<OwedAnswer, 'isOwed'>;
  readonly #listener: SchedulerListener;
  readonly #times: ResponseTimes;
  readonly #running: RunningResponses;
  readonly #time: AskingTime;
  readonly #cancels: Cancels;
  #sent: (Request & { readonly name: string; readonly eventId: string }) | undefined;
  #wanted: Request | undefined;
  /** The request that was answered last. */
  #answered: string | undefined;
  #takeUpTimer: NodeJS.Timeout | undefined;
  #laterTimer: NodeJS.Timeout | undefined;
  #count = 0;

  constructor(options: ResponseSchedulerOptions, listener: SchedulerListener) {
    const { link, host, answer, running, times } = options;
    this.#link = link;
    this.#host = host;
    this.#answer = answer;
    this.#listener = listener;
    this.#times = times;
    this.#running = running;
    this.#time = new AskingTime(times, { onServerSilent: () => this.#onServerSilent(), onOpen: () => this.resume() });
    this.#cancels = new Cancels(link);
  }

  /** Whether a response runs, was asked for, or is expected of the server. */
  get isBusy(): boolean {
    return this.isAsked || this.#time.isServerExpected || this.#laterTimer !== undefined;
  }

  /** Whether a response runs or was asked for. */
  get isAsked(): boolean {
    return this.#running.size > 0 || this.#sent !== undefined || this.#wanted !== undefined;
  }

  request(overrides?: ResponseOverrides): void {
    const isLate = this.#time.isServerExpected || this.#sent !== undefined;
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
    this.#time.hold();
  }

  /** The caller stopped. With `serverResponds` the server gets time for a response of its own. */
  release(serverResponds: boolean): void {
    this.#time.release(serverResponds);
  }

  /** A turn is over that the server will answer by itself: nothing is asked for within `waitMs`. */
  expectServer(waitMs?: number): void {
    this.#time.expectServer(waitMs);
  }

  /** Sends what is wanted, if the time is right. */
  resume(): void {
    if (!this.#wanted || !this.#time.isOpen || this.#running.size > 0) return;
    if (this.#sent !== undefined || this.#laterTimer !== undefined) return;
    const { overrides, tries, name = `response-${++this.#count}` } = this.#wanted;
    const eventId = tries === 0 ? name : `${name}.${tries}`;
    // The metadata comes back with the response and tells it from one of the server's own.
    const response = { ...overrides, metadata: { ...overrides?.metadata, request: name } };
    if (!this.#link.send({ type: 'response.create', event_id: eventId, response })) return;
    this.#sent = { ...this.#wanted, name, eventId };
    this.#wanted = undefined;
    this.#takeUpTimer = setTimeout(() => this.#onNotTakenUp(), this.#times.takeUpMs);
  }

  // What begins, goes on and ends

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
      this.#time.stopExpecting();
    }
    // The server has room for one, so what ran is over, and the word of it was lost.
    for (const other of before) this.#running.lose(other, 'superseded');
    return { by: request ? 'gateway' : isTwice ? 'twice' : 'server', overrides: request?.overrides };
  }

  /** Cancels a running response, once. */
  cancel(responseId: string): void {
    if (this.#running.cancel(responseId)) this.#cancels.send(responseId);
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
    if (!REQUEST_ID.test(eventId)) return Cancels.isId(eventId) ? 'harmless' : 'foreign';
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
      if (!this.#running.isSettled(responseId) && isWanted(responseId)) lost = { overrides, responseId };
    }
    const pending = this.#wanted ?? this.#sent;
    if (pending) lost = { overrides: pending.overrides };
    this.#running.clear();
    this.#cancels.clear();
    this.#unsend();
    this.#unwant();
    this.#time.reset();
    return lost;
  }

  /** Asks for nothing any more. Idempotent. */
  close(): void {
    this.reset(() => false);
    this.#time.close();
  }

  // Inside

  /** The request that a response answers which begins now. */
  #answeredBy(name: string | undefined): Request | undefined {
    if (name !== undefined) return [this.#sent, this.#wanted].find((request) => request?.name === name);
    // A server that does not give the metadata back: what was asked for last is what begins.
    return this.#time.isServerExpected ? undefined : this.#sent;
  }

  #onServerSilent(): void {
    if (this.#answer.isOwed && !this.isBusy) this.request();
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
      this.#giveUp();
      return;
    }
    this.#host.event({ type: 'repaired', kind: 'request_repeated' });
    // A newer request stands in its place, and has its tries to go on with.
    this.#later(this.#wanted ? { ...this.#wanted, tries } : { ...request, tries, isLate: false }, delayMs);
  }

  #cancelRejected(eventId: string | undefined): Rejection {
    const named = this.#cancels.responseOf(eventId);
    const over = named === undefined ? this.#running.cancelled() : [named];
    for (const responseId of over) {
      if (this.#running.has(responseId)) this.#running.lose(responseId, 'not_active');
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
    if (conflicts === MAX_CONFLICTS) this.#cancels.sendUnseen();
    if (conflicts > 2 * MAX_CONFLICTS) this.#giveUp();
    else this.#later(this.#wanted, this.#times.conflictMs);
  }

  #giveUp(): void {
    this.#listener.onFailed(
      new UpstreamError('timeout', 'not_taken_up', 'the upstream takes up no request for a response'),
    );
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
