import type { Clock } from '../clock.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { ConversationParts } from './conversation-parts.ts';
import type { EventSender } from './event-sender.ts';
import type { IncomingItem, IncomingResponse } from './incoming.ts';
import type { Misfits } from './misfits.ts';
import { noteCutOff } from './own-words.ts';
import { RecentIds } from './recent-ids.ts';
import type { ReplyItem } from './reply-items.ts';
import type { ResponseOverrides } from './response-scheduler.ts';
import type { LossReason } from './running-responses.ts';

/** How long a cancelled response may be followed by the server's own answer to the turn that it stood in the way of. */
const FOLLOW_UP_WAIT_MS = 300;

export interface ResponseTrackerParts extends ConversationParts {
  readonly link: EventSender;
  readonly misfits: Misfits;
  readonly nowMs: Clock;
}

/** How a response came to nothing. */
interface Failure {
  readonly code: string;
  readonly message?: string | undefined;
  /** It did not fail, but had nothing to be heard. */
  readonly isMute: boolean;
  /** What is asked for anew; absent: what the response was asked with. */
  readonly overrides?: ResponseOverrides | undefined;
}

export interface ResponseTrackerListener {
  /** The greeting is generated, or will not be: nothing is kept from interrupting any more. */
  onGreetingOver(): void;
  /** The upstream does not answer: the call cannot go on. */
  onFailed(error: UpstreamError): void;
}

/**
 * Follows each response of the server from the first event that names it to the word that it is done, or until that is no
 * longer waited for, and sees to what comes of it: the answer, another try, a further response.
 */
export class ResponseTracker {
  readonly #parts: ResponseTrackerParts;
  readonly #listener: ResponseTrackerListener;
  /** Responses that the server has said are done. */
  readonly #done = new RecentIds();
  #failuresInARow = 0;

  constructor(parts: ResponseTrackerParts, listener: ResponseTrackerListener) {
    this.#parts = parts;
    this.#listener = listener;
  }

  // What comes

  created({ id, metadata }: IncomingResponse): void {
    // What was told of it before has begun it already.
    if (id !== undefined && this.#parts.running.isNew(id)) this.#begin(id, metadata);
  }

  itemStarted(itemId: string, of: string | undefined): void {
    const responseId = this.#responseOf(of);
    if (responseId !== undefined) this.#parts.running.itemStarted(responseId, itemId);
  }

  /** The item that an event is about, made at its first; undefined: there is no response that it could be of. */
  item(itemId: string, of: string | undefined): ReplyItem | undefined {
    const { items, greeting } = this.#parts;
    const responseId = this.#responseOf(of, itemId);
    return responseId === undefined ? undefined : items.get(itemId, responseId, greeting.protects(responseId));
  }

  itemDone(item: IncomingItem, of: string | undefined): void {
    const responseId = this.#responseOf(of, item.id);
    if (responseId === undefined) return;
    const isComplete = item.status === 'completed';
    // Newer models say something before they call a function or go on, and mark it as such.
    const kind = { mayBeLast: isComplete && !item.isComment, callsTool: item.call !== undefined };
    if (item.id !== undefined) this.#parts.running.itemDone(responseId, item.id, kind);
    this.#callTool(responseId, item);
  }

  /** It takes effect whatever else is in it: a response that is never done would stand in the way of all others. */
  done(response: IncomingResponse): void {
    const { host, items, running, tools } = this.#parts;
    const responseId = response.id ?? running.newest;
    if (responseId === undefined || !this.#done.add(responseId)) return;
    if (running.isNew(responseId)) this.#begin(responseId, response.metadata);
    const wasOver = running.isOver(responseId);
    // Of a function call of which nothing else came, this is the word.
    for (const item of response.output) this.#callTool(responseId, item);
    const spoken = this.#endItems(responseId);
    const { reason, message, tokens } = response;
    const status = response.status ?? (items.isInterrupted(responseId) ? 'cancelled' : 'completed');
    host.event({
      type: 'response_done',
      responseId,
      status,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(tokens ? { tokens } : {}),
    });
    const isMute = this.#isMute(responseId, status, response.output, spoken);
    if (status === 'completed' && !wasOver) this.#lookForAudio(responseId, response.output, spoken);
    if (!wasOver) {
      if (isMute) host.event({ type: 'repaired', kind: 'answer_empty' });
      const code = reason ?? 'response_failed';
      if (status === 'failed' || isMute) this.#onFailed(responseId, { code, message, isMute });
      else this.#onOver(responseId, status);
    }
    tools.responseDone(responseId);
  }

  /** The server did not say that a response is done, and it is not waited for any longer. */
  lost(responseId: string, why: LossReason): void {
    const { host, link, items, running, responses, tools } = this.#parts;
    const wasInterrupted = items.isInterrupted(responseId);
    const isLost = why === 'silent' && !wasInterrupted && !running.isSettled(responseId);
    const overrides = running.overridesOf(responseId);
    host.event({ type: 'repaired', kind: isLost ? 'response_lost' : 'end_assumed' });
    // What still comes of it would be heard beside what is asked for in its place.
    if (isLost) {
      items.interrupt(responseId);
      responses.cancel(responseId);
    }
    const spoken = this.#endItems(responseId);
    host.event({ type: 'response_done', responseId, status: 'lost', reason: why });
    if (isLost) {
      const isPartial = spoken.some(({ receivedMs }) => receivedMs > 0);
      // What has words of its own is said again.
      if (isPartial && !overrides?.input) link.send(noteCutOff());
      this.#onFailed(responseId, { code: 'response_lost', isMute: false, overrides });
    } else {
      this.#onOver(responseId, wasInterrupted ? 'cancelled' : 'completed');
    }
    tools.responseDone(responseId);
  }

  /** The server refused a request for a response. @returns whether it has failed before, so that the call cannot go on */
  requestRefused(): boolean {
    this.#failuresInARow += 1;
    return this.#failuresInARow > 1;
  }

  /** Another connection is there: failures of the one before say nothing of it. */
  restored(): void {
    this.#failuresInARow = 0;
  }

  // Inside

  /** The response that an event is of, begun if nothing was known of it; where the event names none, the one that runs. */
  #responseOf(of: string | undefined, itemId?: string): string | undefined {
    const { items, running } = this.#parts;
    const known = itemId === undefined ? undefined : items.find(itemId)?.responseId;
    const responseId = of ?? known ?? running.newest;
    if (responseId !== undefined && running.isNew(responseId)) this.#begin(responseId);
    return responseId;
  }

  #begin(responseId: string, metadata: IncomingResponse['metadata'] = {}): void {
    const { host, greeting, answer, items, responses, caller, nowMs } = this.#parts;
    const name = metadata['request'];
    const { by, overrides } = responses.started(responseId, typeof name === 'string' ? name : undefined);
    if ((overrides?.metadata ?? metadata)['why'] === 'greeting') greeting.started(responseId);
    host.event({ type: 'response_started', responseId, atMs: nowMs() });
    const crossedSpeech = by === 'gateway' && caller.isSpeaking && !caller.isDeciding && !greeting.isProtected;
    if (crossedSpeech || by === 'twice') {
      items.interrupt(responseId);
      responses.cancel(responseId);
    } else {
      answer.started(responseId);
    }
  }

  #callTool(responseId: string, { id, call }: IncomingItem): void {
    if (call) this.#parts.tools.call(responseId, { itemId: id ?? call.toolCallId, ...call });
  }

  /** Nothing more comes of a response's items, or nothing that is waited for. */
  #endItems(responseId: string): ReplyItem[] {
    const { items, interrupter } = this.#parts;
    const ended = items.ofResponse(responseId);
    items.finish(ended);
    if (items.isInterrupted(responseId)) interrupter.settle(ended);
    return ended;
  }

  /** Whether a response that did not fail has nothing to be heard: text instead of speech, or nothing at all. */
  #isMute(responseId: string, status: string, output: readonly IncomingItem[], spoken: readonly ReplyItem[]): boolean {
    if (status !== 'completed' && status !== 'incomplete') return false;
    return spoken.length === 0 && !this.#parts.tools.hasCalled(responseId) && !output.some(({ hasAudio }) => hasAudio);
  }

  /** Says so where a spoken answer is complete and nothing of it can have been heard. */
  #lookForAudio(responseId: string, output: readonly IncomingItem[], spoken: readonly ReplyItem[]): void {
    const { items, tools, misfits } = this.#parts;
    if (items.isInterrupted(responseId) || tools.hasCalled(responseId)) return;
    if (spoken.some(({ receivedMs, droppedMs }) => receivedMs + droppedMs > 0)) return;
    const had = output.some(({ hasAudio }) => hasAudio) ? 'audio' : output.some(({ hasText }) => hasText) ? 'text' : '';
    misfits.tell({ kind: 'no_audio', had: had || 'nothing', isBeta: misfits.has('beta_names') });
  }

  #onOver(responseId: string, status: string): void {
    const { greeting, answer, responses, caller } = this.#parts;
    if (status !== 'cancelled') this.#failuresInARow = 0;
    if (responseId === greeting.responseId) this.#listener.onGreetingOver();
    answer.given(responseId);
    responses.done(responseId);
    // A greeting that another response has overtaken is not asked for any more.
    if (greeting.responseId === undefined && !responses.isAsked) this.#listener.onGreetingOver();
    const stoodInTheWay = status === 'cancelled' && answer.isOwed && !caller.isSpeaking;
    if (stoodInTheWay && !responses.isAsked) responses.expectServer(FOLLOW_UP_WAIT_MS);
  }

  /** One more try after a response that came to nothing; after that the call cannot go on. */
  #onFailed(responseId: string, { code, message, isMute, overrides }: Failure): void {
    const { answer, running, responses } = this.#parts;
    this.#failuresInARow += 1;
    answer.failed(responseId);
    if (this.#failuresInARow === 1) {
      responses.failed(responseId, overrides ?? running.overridesOf(responseId));
    } else if (isMute) {
      // The service is well, but has nothing to say: the caller's next words may change that.
      this.#onOver(responseId, 'completed');
    } else {
      const why = message === undefined ? code : `${code}: ${message}`;
      this.#listener.onFailed(new UpstreamError('refused', code, `the upstream failed to answer twice (${why})`));
    }
  }
}
