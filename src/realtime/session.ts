import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { Clock } from '../clock.ts';
import type { AiConversation, CallerAudio, ConversationSetup } from '../upstream/ai-conversation.ts';
import { hasOpenTool, isAssistantMessage, isUnanswered, type ReplayItem } from '../upstream/conversation.ts';
import type { ConversationHost } from '../upstream/host.ts';
import type { Misfit } from '../upstream/misfit.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { CallerTurns } from './caller-turns.ts';
import type { TranscriptionRefusal } from './connection.ts';
import { Greeting } from './greeting.ts';
import {
  Incoming,
  type IncomingError,
  type IncomingHandlers,
  type IncomingItem,
  type IncomingResponse,
} from './incoming.ts';
import { Interrupter } from './interrupter.ts';
import { OwedAnswer } from './owed-answer.ts';
import { afterTool, goesOn, goOn, noteCutOff, sayWords } from './own-words.ts';
import { RecentIds } from './recent-ids.ts';
import { previousInReplay } from './replay.ts';
import { type ReplyItem, ReplyItems } from './reply-items.ts';
import { type ResponseOverrides, ResponseScheduler, type ResponseTimes } from './response-scheduler.ts';
import type { LossReason } from './running-responses.ts';
import { classifyServerError } from './server-error.ts';
import { interruptionUpdate, type RealtimeSettings } from './settings.ts';
import { ToolRunner } from './tool-runner.ts';
import { type Restored, UpstreamLink } from './upstream-link.ts';

/** A conversation's setup, with what tests set beside it. */
export interface RealtimeSetup extends ConversationSetup {
  /** How long responses are waited for; absent: the defaults. */
  readonly responseTimes?: ResponseTimes | undefined;
  /** Who interrupts; absent: the server, unless something else asks for the gateway. */
  readonly interruptedBy?: RealtimeSettings['interruptedBy'];
}

/** How long a cancelled response may be followed by the server's own answer to the turn that it stood in the way of. */
const FOLLOW_UP_WAIT_MS = 300;

/** Characters of something unexpected that are worth quoting. */
const MAX_QUOTED = 100;

/** One call's conversation with the Realtime API, over as many connections as it takes. */
export class RealtimeSession implements AiConversation {
  readonly #setup: RealtimeSetup;
  readonly #host: ConversationHost;
  readonly #nowMs: Clock;
  readonly #link: UpstreamLink;
  readonly #items: ReplyItems;
  readonly #responses: ResponseScheduler;
  readonly #interrupter: Interrupter;
  readonly #tools: ToolRunner;
  readonly #caller: CallerTurns;
  readonly #greeting: Greeting;
  readonly #answer = new OwedAnswer();
  readonly #incoming: Incoming;
  /** Responses that the server has said are done. */
  readonly #done = new RecentIds();
  #interruptedBy: RealtimeSettings['interruptedBy'];
  #isTranscribed: boolean;
  #failedResponses = 0;
  /** Signs that the server speaks otherwise, by kind. */
  readonly #misfits = new Set<Misfit['kind']>();
  /** What the present connection was told when it began. */
  #replayed: readonly ReplayItem[] = [];
  #isLost = false;
  /** What the lost connection did not finish, to be asked for again. */
  #lostResponse: { readonly overrides: ResponseOverrides | undefined; readonly isPartial: boolean } | undefined;
  #closed = false;

  constructor(setup: RealtimeSetup, host: ConversationHost, nowMs: Clock) {
    const { settings, greeting, replay = [], isCutShort } = setup;
    this.#setup = setup;
    this.#host = host;
    this.#nowMs = nowMs;
    this.#isTranscribed = settings.transcription !== null;
    // Where the agent alone has spoken so far, it was greeting.
    const isGreetingOpen = replay.length === 0 || (isCutShort === true && replay.every(isAssistantMessage));
    this.#greeting = new Greeting(greeting, isGreetingOpen);
    const isOurs = setup.minInterruptionMs > 0 || this.#greeting.isProtected;
    this.#interruptedBy = isOurs ? 'gateway' : (setup.interruptedBy ?? 'server');
    this.#link = new UpstreamLink({
      target: setup.target,
      settings: this.#settings,
      policy: setup.policy,
      connectPermit: (request) => host.connectPermit(request),
      history: () => host.history(),
      isPause: () => this.#isPause(),
      onEvent: (event) => this.#incoming.accept(event),
      onLost: (error) => this.#onLost(error),
      onRestored: (restored) => this.#onRestored(restored),
      onFailed: (error) => this.#fail(error),
      onOddExpiry: (expiresAt) =>
        host.event({ type: 'expiry_ignored', expiresAt: `${JSON.stringify(expiresAt)}`.slice(0, MAX_QUOTED) }),
      onTranscriptionRefused: (refusal) => this.#onTranscriptionRefused(refusal),
      onMisfit: (misfit) => this.#onMisfit(misfit),
      nowMs,
    });
    this.#incoming = new Incoming(
      this.#handlers,
      (reason, eventType, error) => {
        const defect = error && { defect: error.stack ?? error.message };
        host.event({ type: 'event_unusable', reason, eventType, ...defect });
      },
      (eventType) => this.#onMisfit({ kind: 'beta_names', eventType }),
    );
    const send = (event: RealtimeClientEvent) => this.#link.send(event);
    this.#items = new ReplyItems(host, settings.audioType === 'audio/pcm' ? 48 : 8, nowMs);
    this.#responses = new ResponseScheduler(
      send,
      {
        onServerSilent: () => this.#onServerSilent(),
        onLost: (responseId, why) => this.#onResponseLost(responseId, why),
        onRepair: (kind) => host.event({ type: 'repaired', kind }),
        onGivenUp: () => this.#onNotTakenUp(),
      },
      setup.responseTimes,
    );
    this.#interrupter = new Interrupter({
      host,
      items: this.#items,
      send,
      cancelResponse: (responseId) => this.#responses.cancel(responseId),
      previousOf: (itemId) => previousInReplay(this.#replayed, itemId),
    });
    this.#tools = new ToolRunner(host, send, () => this.#responses.request(afterTool(settings)));
    this.#caller = new CallerTurns({
      host,
      send,
      nowMs,
      minInterruptionMs: setup.minInterruptionMs,
      isTranscribed: () => this.#isTranscribed,
      canBeInterrupted: () => this.#canBeInterrupted(),
      onInterruption: (startedAtMs) => void this.#interrupt(startedAtMs),
      onTurn: (isAssumed) => this.#onTurn(isAssumed),
      onAssumed: () => host.event({ type: 'repaired', kind: 'turn_assumed' }),
      onNoise: () => this.#responses.release(false),
      onKeys: () => this.#onKeys(),
    });
  }

  /** Bytes waiting in the socket. */
  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  /**
   * Connects and greets, or takes up the conversation where `replay` left it.
   * @throws {UpstreamError} when the upstream refuses or `timeoutMs` is over
   */
  async open(timeoutMs: number): Promise<{ upstreamSessionId: string | undefined }> {
    const { replay = [], handedReplies = [], isCutShort } = this.#setup;
    const startedAtMs = this.#nowMs();
    const attempt = await this.#link.open(timeoutMs, replay);
    this.#replayed = replay;
    this.#items.takeOver(handedReplies.filter((reply) => replay.some(({ itemId }) => itemId === reply.itemId)));
    const atMs = this.#nowMs();
    this.#host.event({ type: 'ready', connectMs: atMs - startedAtMs, attempt, atMs });
    const greeting = this.#greeting.ask();
    if (greeting !== undefined) {
      const words = this.#say(greeting, 'greeting');
      this.#responses.request(replay.length === 0 ? words : this.#continued(words));
    } else if (isUnanswered(replay)) {
      this.#answer.owe();
      this.#responses.request();
    } else if (isCutShort && !hasOpenTool(replay)) {
      this.#responses.request(this.#continued(undefined));
    }
    this.#tools.takeOver(replay);
    return { upstreamSessionId: this.#link.upstreamSessionId };
  }

  /** Sends caller audio. Returns whether it went out at once; otherwise it waits for the next connection. */
  sendAudio(audio: CallerAudio): boolean {
    if (audio.voicedMs !== undefined) this.#caller.heard(audio.audioMs, audio.voicedMs);
    return this.#link.sendAudio(audio);
  }

  /** Tells the agent which keys the caller pressed; `#` tells at once, others wait a moment for more. */
  sendDtmf(digits: string): void {
    this.#caller.press(digits);
  }

  /** Has the agent say something of the gateway's choosing. */
  prompt(instructions: string): void {
    if (!this.#closed) this.#responses.request(this.#say(instructions, 'prompt'));
  }

  /**
   * Stops the reply because more of it is queued than anybody will listen to.
   * @param keptMs how much of the item is to be heard; the rest is cut from the server's memory
   */
  cancelReply(itemId: string, keptMs: number): void {
    const { active } = this.#responses;
    for (const responseId of active) this.#drop(responseId);
    const item = this.#items.find(itemId);
    if (!item) return;
    this.#items.shorten(item, keptMs);
    if (!active.has(item.responseId)) this.#interrupter.settle([item]);
  }

  /** Ends the session without another event. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#caller.close();
    this.#responses.close();
    this.#link.close();
  }

  // What the server says

  readonly #handlers: IncomingHandlers = {
    'input_audio_buffer.speech_started': ({ itemId }) => this.#onSpeechStarted(itemId),
    'input_audio_buffer.speech_stopped': ({ itemId }) => this.#onSpeechStopped(itemId),
    'input_audio_buffer.committed': ({ itemId, previousItemId }) => this.#onCommitted(itemId, previousItemId),
    'conversation.item.added': ({ item, previousItemId }) => this.#onItemAdded(item, previousItemId),
    'conversation.item.input_audio_transcription.completed': ({ itemId, transcript }) =>
      this.#caller.transcribed(itemId, transcript),
    'conversation.item.input_audio_transcription.failed': ({ itemId }) => this.#caller.transcribed(itemId, null),
    'response.created': ({ response }) => this.#onResponseCreated(response),
    'response.output_item.added': ({ itemId, responseId }) => {
      const of = this.#responseOf(responseId);
      if (of !== undefined) this.#responses.itemStarted(of, itemId);
    },
    'response.output_audio.delta': ({ itemId, responseId, base64 }) => {
      const item = this.#item(itemId, responseId);
      if (item) this.#items.audio(item, base64);
    },
    'response.output_audio.done': ({ itemId, responseId }) => {
      const item = this.#item(itemId, responseId);
      if (item) this.#items.endAudio(item);
    },
    'response.output_audio_transcript.delta': ({ itemId, responseId, text }) => {
      const item = this.#item(itemId, responseId);
      if (item) this.#items.addText(item, text);
    },
    'response.output_audio_transcript.done': ({ itemId, responseId, text }) => {
      const item = this.#item(itemId, responseId);
      if (item) this.#items.endText(item, text);
    },
    'response.output_item.done': ({ item, responseId }) => this.#onOutputItemDone(item, responseId),
    'response.done': ({ response }) => this.#onResponseDone(response),
    error: ({ error }) => this.#onError(error),
  };

  // The caller's turn

  #onSpeechStarted(itemId: string): void {
    if (this.#caller.speechStarted(itemId)) this.#responses.hold();
  }

  async #canBeInterrupted(): Promise<boolean> {
    if (this.#greeting.isProtected) return false;
    return this.#responses.active.size > 0 || (await this.#host.isPlaying(this.#items.open()));
  }

  /** @param cancel whether the running response has to be cancelled from here */
  #interrupt(startedAtMs: number, cancel = this.#interruptedBy === 'gateway'): Promise<void> {
    // Nothing comes before the greeting, so there is nothing else to interrupt either.
    if (this.#greeting.isProtected) return Promise.resolve();
    return this.#interrupter.interrupt({ startedAtMs, active: this.#responses.active, cancel });
  }

  #onSpeechStopped(itemId: string): void {
    if (this.#caller.speechStopped(itemId) && this.#interruptedBy === 'server') this.#responses.release(true);
  }

  #onCommitted(itemId: string, previousItemId: string | null): void {
    const wasSpeaking = this.#caller.isSpeaking;
    this.#caller.committed(itemId, previousItemId);
    const isOver = wasSpeaking && !this.#caller.isSpeaking;
    if (isOver && this.#interruptedBy === 'server') this.#responses.release(true);
  }

  #onTurn(isAssumed: boolean): void {
    // What has begun since the caller stopped is the answer.
    if (isAssumed && this.#interruptedBy === 'server' && this.#responses.isAsked) return;
    this.#answer.owe();
    if (this.#interruptedBy === 'gateway') {
      this.#responses.release(false);
      this.#responses.request();
    } else {
      // A server that interrupts would have ended these when the turn began; one that has not will not answer the turn.
      for (const responseId of this.#responses.active) this.#drop(responseId);
    }
  }

  /** The server had time to answer a turn by itself, and did not. */
  #onServerSilent(): void {
    if (this.#answer.isOwed && !this.#responses.isBusy) this.#responses.request();
  }

  #onKeys(): void {
    this.#answer.owe();
    // A key press interrupts as speech does, but the server does not cancel for it.
    void this.#interrupt(this.#nowMs(), true).then(() => {
      if (!this.#closed) this.#responses.request();
    });
  }

  get #settings(): RealtimeSettings {
    return { ...this.#setup.settings, interruptedBy: this.#interruptedBy };
  }

  // The reply

  #say(words: string, why: string): ResponseOverrides {
    return sayWords(words, why, this.#setup.settings);
  }

  /** Cancels a response, of which nothing more is to be heard. */
  #drop(responseId: string): void {
    this.#items.interrupt(responseId);
    this.#responses.cancel(responseId);
  }

  #onItemAdded(item: IncomingItem, previousItemId: string | null): void {
    if (item.type !== 'message' || item.role !== 'assistant' || item.id === undefined) return;
    if (this.#replayed.some(({ itemId }) => itemId === item.id)) return;
    this.#host.event({ type: 'item_added', itemId: item.id, previousItemId, role: 'assistant' });
  }

  #onResponseCreated({ id, metadata }: IncomingResponse): void {
    // What was told of it before has begun it already.
    if (id !== undefined && this.#responses.isNew(id)) this.#begin(id, metadata);
  }

  #begin(responseId: string, metadata: IncomingResponse['metadata'] = {}): void {
    const name = metadata['request'];
    const { by, overrides } = this.#responses.started(responseId, typeof name === 'string' ? name : undefined);
    if ((overrides?.metadata ?? metadata)['why'] === 'greeting') this.#greeting.started(responseId);
    this.#host.event({ type: 'response_started', responseId, atMs: this.#nowMs() });
    const { isSpeaking, isDeciding } = this.#caller;
    const crossedSpeech = by === 'gateway' && isSpeaking && !isDeciding && !this.#greeting.isProtected;
    if (crossedSpeech || by === 'twice') this.#drop(responseId);
    else this.#answer.started(responseId);
  }

  /** The response that an event is of, begun if nothing was known of it; where the event names none, the one that runs. */
  #responseOf(responseId: string | undefined, itemId?: string): string | undefined {
    const known = itemId === undefined ? undefined : this.#items.find(itemId)?.responseId;
    const id = responseId ?? known ?? [...this.#responses.active].at(-1);
    if (id !== undefined && this.#responses.isNew(id)) this.#begin(id);
    return id;
  }

  #item(itemId: string, responseId: string | undefined): ReplyItem | undefined {
    const id = this.#responseOf(responseId, itemId);
    return id === undefined ? undefined : this.#items.get(itemId, id, this.#greeting.protects(id));
  }

  #onOutputItemDone(item: IncomingItem, of: string | undefined): void {
    const responseId = this.#responseOf(of, item.id);
    if (responseId === undefined) return;
    const isComplete = item.status === 'completed';
    // Newer models say something before they call a function or go on, and mark it as such.
    const kind = { mayBeLast: isComplete && !item.isComment, callsTool: item.call !== undefined };
    if (item.id !== undefined) this.#responses.itemDone(responseId, item.id, kind);
    this.#callTool(responseId, item);
  }

  #callTool(responseId: string, { id, call }: IncomingItem): void {
    if (call) this.#tools.call(responseId, { itemId: id ?? call.toolCallId, ...call });
  }

  /** It takes effect whatever else is in it: a response that is never done would stand in the way of all others. */
  #onResponseDone(response: IncomingResponse): void {
    const responseId = response.id ?? [...this.#responses.active].at(-1);
    if (responseId === undefined || !this.#done.add(responseId)) return;
    if (this.#responses.isNew(responseId)) this.#begin(responseId, response.metadata);
    const wasOver = this.#responses.isOver(responseId);
    // Of a function call of which nothing else came, this is the word.
    for (const item of response.output) this.#callTool(responseId, item);
    const items = this.#endItems(responseId);
    const { reason, message, usage } = response;
    const status = response.status ?? (this.#items.isInterrupted(responseId) ? 'cancelled' : 'completed');
    this.#host.event({
      type: 'response_done',
      responseId,
      status,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(usage ? { usage } : {}),
    });
    const isMute = this.#isMute(responseId, status, response.output, items);
    if (status === 'completed' && !wasOver) this.#lookForAudio(responseId, response.output, items);
    if (!wasOver) {
      if (isMute) this.#host.event({ type: 'repaired', kind: 'answer_empty' });
      const code = reason ?? 'response_failed';
      if (status === 'failed' || isMute) this.#onResponseFailed(responseId, code, isMute, undefined, message);
      else this.#onResponseOver(responseId, status);
    }
    this.#tools.responseDone(responseId);
  }

  /** The server did not say that a response is done, and it is not waited for any longer. */
  #onResponseLost(responseId: string, why: LossReason): void {
    const wasInterrupted = this.#items.isInterrupted(responseId);
    const isLost = why === 'silent' && !wasInterrupted && !this.#responses.isSettled(responseId);
    const overrides = this.#responses.overridesOf(responseId);
    this.#host.event({ type: 'repaired', kind: isLost ? 'response_lost' : 'end_assumed' });
    // What still comes of it would be heard beside what is asked for in its place.
    if (isLost) this.#drop(responseId);
    const items = this.#endItems(responseId);
    this.#host.event({ type: 'response_done', responseId, status: 'lost', reason: why });
    if (isLost) {
      const isPartial = items.some(({ receivedMs }) => receivedMs > 0);
      // What has words of its own is said again.
      if (isPartial && !overrides?.input) this.#link.send(noteCutOff());
      this.#onResponseFailed(responseId, 'response_lost', false, overrides);
    } else {
      this.#onResponseOver(responseId, wasInterrupted ? 'cancelled' : 'completed');
    }
    this.#tools.responseDone(responseId);
  }

  /** Nothing more comes of a response's items, or nothing that is waited for. */
  #endItems(responseId: string): ReplyItem[] {
    const items = this.#items.ofResponse(responseId);
    this.#items.finish(items);
    if (this.#items.isInterrupted(responseId)) this.#interrupter.settle(items);
    return items;
  }

  /** Whether a response that did not fail has nothing to be heard: text instead of speech, or nothing at all. */
  #isMute(responseId: string, status: string, output: readonly IncomingItem[], items: readonly ReplyItem[]): boolean {
    if (status !== 'completed' && status !== 'incomplete') return false;
    return items.length === 0 && !this.#tools.hasCalled(responseId) && !output.some(({ hasAudio }) => hasAudio);
  }

  /** Says so where a spoken answer is complete and nothing of it can have been heard. */
  #lookForAudio(responseId: string, output: readonly IncomingItem[], items: readonly ReplyItem[]): void {
    if (this.#items.isInterrupted(responseId) || this.#tools.hasCalled(responseId)) return;
    if (items.some(({ receivedMs, droppedMs }) => receivedMs + droppedMs > 0)) return;
    const had = output.some(({ hasAudio }) => hasAudio) ? 'audio' : output.some(({ hasText }) => hasText) ? 'text' : '';
    this.#onMisfit({ kind: 'no_audio', had: had || 'nothing', isBeta: this.#misfits.has('beta_names') });
  }

  #onResponseOver(responseId: string, status: string): void {
    if (status !== 'cancelled') this.#failedResponses = 0;
    const { responseId: greetingId } = this.#greeting;
    if (responseId === greetingId) this.#greetingIsGenerated();
    this.#answer.given(responseId);
    this.#responses.done(responseId);
    // A greeting that another response has overtaken is not asked for any more.
    if (greetingId === undefined && !this.#responses.isAsked) this.#greetingIsGenerated();
    const stoodInTheWay = status === 'cancelled' && this.#answer.isOwed && !this.#caller.isSpeaking;
    if (stoodInTheWay && !this.#responses.isAsked) this.#responses.expectServer(FOLLOW_UP_WAIT_MS);
  }

  /** One more try after a response that came to nothing; after that the call cannot go on. */
  #onResponseFailed(
    responseId: string,
    code: string,
    isMute: boolean,
    anew?: ResponseOverrides,
    message?: string,
  ): void {
    this.#failedResponses += 1;
    this.#answer.failed(responseId);
    if (this.#failedResponses === 1) {
      this.#responses.failed(responseId, anew ?? this.#responses.overridesOf(responseId));
    } else if (isMute) {
      // The service is well, but has nothing to say: the caller's next words may change that.
      this.#onResponseOver(responseId, 'completed');
    } else {
      const why = message === undefined ? code : `${code}: ${message}`;
      this.#fail(new UpstreamError('refused', code, `the upstream failed to answer twice (${why})`));
    }
  }

  #onNotTakenUp(): void {
    this.#fail(new UpstreamError('timeout', 'not_taken_up', 'the upstream takes up no request for a response'));
  }

  #greetingIsGenerated(): void {
    const wasProtected = this.#greeting.end();
    if (!wasProtected || this.#caller.isGuarded || this.#setup.interruptedBy === 'gateway') return;
    // From here on the gateway alone protects what is left of it: the server has nothing left to cancel.
    this.#interruptedBy = 'server';
    this.#link.reconfigure(this.#settings);
    this.#link.send(interruptionUpdate(this.#settings, 'after-greeting'));
  }

  // Trouble

  #isPause(): boolean {
    const { isSpeaking, isAwaitingWords } = this.#caller;
    return !isSpeaking && !isAwaitingWords && !this.#responses.isBusy && !this.#tools.isBusy;
  }

  #onError(error: IncomingError): void {
    const { code, type, message, eventId } = error;
    const name = code ?? type ?? 'unknown';
    const rejection = this.#responses.rejected(error);
    const isOurs = eventId !== undefined && (rejection !== 'foreign' || this.#interrupter.rejected(eventId, message));
    const meaning = classifyServerError(error);
    const verdict = isOurs && meaning === 'retryable' ? 'benign' : meaning;
    this.#host.event({ type: 'upstream_error', verdict, code: name, message });
    if (verdict === 'fatal') {
      this.#fail(new UpstreamError('refused', name, `the upstream ended the session: ${message}`));
    } else if (code === 'session_expired') {
      this.#link.fail(new UpstreamError('unavailable', code, message));
    } else if (rejection === 'refused' && ++this.#failedResponses > 1) {
      this.#fail(new UpstreamError('refused', name, `the upstream refused to answer twice: ${message}`));
    }
  }

  /** The call goes on, without the caller's words in its transcript. */
  #onTranscriptionRefused({ code, message }: TranscriptionRefusal): void {
    if (this.#closed) return;
    this.#isTranscribed = false;
    const model = this.#setup.settings.transcription?.model ?? '';
    this.#host.event({ type: 'transcription_refused', model, code, message });
  }

  /** Whatever it is, the server does it all the time: once is enough. */
  #onMisfit(misfit: Misfit): void {
    if (this.#closed || this.#misfits.has(misfit.kind)) return;
    this.#misfits.add(misfit.kind);
    this.#host.event({ type: 'misfit', misfit });
  }

  #onLost(error: UpstreamError): void {
    this.#isLost = true;
    this.#leaveConnection();
    const isAnswerDue = this.#answer.isOwed || this.#lostResponse !== undefined || this.#tools.isBusy;
    this.#host.event({ type: 'upstream_lost', code: error.code, message: error.message, isAnswerDue });
  }

  /** What the old connection began will not be finished there; what came of it is played and stands. */
  #leaveConnection(): void {
    this.#caller.connectionLeft();
    const greetingId = this.#greeting.responseId;
    if (greetingId !== undefined && this.#responses.isSettled(greetingId)) this.#greetingIsGenerated();
    // Whoever interrupts an answer does not wait for the rest of it.
    this.#answer.connectionLeft((id) => this.#responses.isSettled(id) || this.#items.isInterrupted(id));
    const lost = this.#responses.reset((responseId) => !this.#items.isInterrupted(responseId));
    const begun = lost?.responseId === undefined ? [] : this.#items.ofResponse(lost.responseId);
    this.#lostResponse = lost && {
      overrides: lost.overrides,
      isPartial: begun.some(({ receivedMs }) => receivedMs > 0),
    };
    this.#items.finish(this.#items.unfinished());
    this.#items.retold();
    this.#interrupter.lost();
  }

  #onRestored({ cause, replayed, tookMs, attempt, droppedAudioMs }: Restored): void {
    if (cause === 'rotated' && !this.#isLost) {
      this.#leaveConnection();
      this.#host.event({ type: 'rotated', tookMs });
    } else {
      this.#isLost = false;
      this.#host.event({ type: 'upstream_restored', outageMs: tookMs, attempt, droppedAudioMs });
    }
    this.#replayed = replayed;
    this.#failedResponses = 0;
    this.#caller.restored(replayed);
    const lost = this.#lostResponse;
    this.#lostResponse = undefined;
    this.#tools.restored(replayed);
    this.#responses.resume();
    if (this.#responses.isAsked) return;
    if (lost) {
      const goesFurther = lost.isPartial || goesOn(lost.overrides);
      this.#responses.request(goesFurther ? this.#continued(lost.overrides) : lost.overrides);
    } else if (this.#answer.isOwed) this.#responses.request();
  }

  /** Has a reply go on of which the caller heard the beginning. */
  #continued(overrides: ResponseOverrides | undefined): ResponseOverrides {
    return goOn(overrides, this.#replayed);
  }

  #fail(error: UpstreamError): void {
    if (this.#closed) return;
    this.close();
    this.#items.finish(this.#items.unfinished());
    this.#host.event({ type: 'upstream_failed', code: error.code, message: error.message });
  }
}
