import type { Clock } from '../clock.ts';
import type { AiConversation, CallerAudio, ConversationSetup } from '../upstream/ai-conversation.ts';
import { hasOpenTool, isAssistantMessage, isUnanswered } from '../upstream/conversation.ts';
import type { ConversationHost } from '../upstream/host.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { CallerTurns } from './caller-turns.ts';
import { ConnectionChange } from './connection-change.ts';
import { Greeting } from './greeting.ts';
import { Incoming, type IncomingError, type IncomingHandlers, type IncomingItem, type RawEvent } from './incoming.ts';
import { Interrupter } from './interrupter.ts';
import { Misfits } from './misfits.ts';
import { OwedAnswer } from './owed-answer.ts';
import { sayWords } from './own-words.ts';
import { ReplyItems } from './reply-items.ts';
import { ResponseScheduler } from './response-scheduler.ts';
import { RESPONSE_TIMES, type ResponseTimes } from './response-times.ts';
import { ResponseTracker } from './response-tracker.ts';
import { type LossReason, RunningResponses } from './running-responses.ts';
import { classifyServerError } from './server-error.ts';
import { SessionConfig } from './session-config.ts';
import { interruptionUpdate, type RealtimeSettings } from './settings.ts';
import { ToldConversation } from './told-conversation.ts';
import { ToolRunner } from './tool-runner.ts';
import { TurnTaking } from './turn-taking.ts';
import { type LinkListener, type Restored, UpstreamLink } from './upstream-link.ts';

/** A conversation's setup, with what tests set beside it. */
export interface RealtimeSetup extends ConversationSetup {
  /** How long responses are waited for; absent: the defaults. */
  readonly responseTimes?: ResponseTimes | undefined;
  /** Who interrupts; absent: the server, unless something else asks for the gateway. */
  readonly interruptedBy?: RealtimeSettings['interruptedBy'];
}

/** One call's conversation with the Realtime API, over as many connections as it takes. */
export class RealtimeSession implements AiConversation {
  readonly #setup: RealtimeSetup;
  readonly #host: ConversationHost;
  readonly #nowMs: Clock;
  readonly #config: SessionConfig;
  readonly #link: UpstreamLink;
  readonly #told = new ToldConversation();
  readonly #items: ReplyItems;
  readonly #running: RunningResponses;
  readonly #responses: ResponseScheduler;
  readonly #interrupter: Interrupter;
  readonly #tools: ToolRunner;
  readonly #turns: TurnTaking;
  readonly #caller: CallerTurns;
  readonly #greeting: Greeting;
  readonly #answer = new OwedAnswer();
  readonly #tracker: ResponseTracker;
  readonly #change: ConnectionChange;
  readonly #incoming: Incoming;
  #closed = false;

  constructor(setup: RealtimeSetup, host: ConversationHost, nowMs: Clock) {
    const { settings, minInterruptionMs, replay = [], responseTimes: times = RESPONSE_TIMES } = setup;
    this.#setup = setup;
    this.#host = host;
    this.#nowMs = nowMs;
    // Where the agent alone has spoken so far, it was greeting.
    const isGreetingOpen = replay.length === 0 || (setup.isCutShort === true && replay.every(isAssistantMessage));
    const greeting = new Greeting(setup.greeting, isGreetingOpen);
    const isOurs = minInterruptionMs > 0 || greeting.isProtected;
    const config = new SessionConfig(settings, isOurs ? 'gateway' : (setup.interruptedBy ?? 'server'));
    const { target, policy } = setup;
    const misfits = new Misfits(host);
    const link = new UpstreamLink({ target, policy, config, host, misfits, nowMs }, this.#linkListener);
    const told = this.#told;
    const answer = this.#answer;
    const items = new ReplyItems(host, settings.audioType === 'audio/pcm' ? 48 : 8, nowMs);
    const running = new RunningResponses(times, nowMs, this.#responseListener);
    const responses = new ResponseScheduler({ link, host, answer, running, times }, this.#responseListener);
    const interrupter = new Interrupter({ link, host, items, responses, told });
    const tools = new ToolRunner({ link, host, responses, settings });
    const turns = new TurnTaking({ host, config, greeting, answer, items, running, responses, interrupter, nowMs });
    const caller = new CallerTurns({ link, host, config, minInterruptionMs, nowMs }, turns);
    const replies = { host, greeting, answer, items, running, responses, interrupter, tools, caller };
    const tracker = new ResponseTracker({ ...replies, link, misfits, nowMs }, this.#responseListener);
    this.#change = new ConnectionChange({ ...replies, told, tracker }, () => this.#onGreetingOver());
    this.#incoming = new Incoming(
      this.#handlers,
      (reason, eventType, error) => {
        const defect = error && { defect: error.stack ?? error.message };
        host.event({ type: 'event_unusable', reason, eventType, ...defect });
      },
      (eventType) => misfits.tell({ kind: 'beta_names', eventType }),
    );
    this.#greeting = greeting;
    this.#config = config;
    this.#link = link;
    this.#items = items;
    this.#running = running;
    this.#responses = responses;
    this.#interrupter = interrupter;
    this.#tools = tools;
    this.#turns = turns;
    this.#caller = caller;
    this.#tracker = tracker;
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  async open(timeoutMs: number): Promise<{ upstreamSessionId: string | undefined }> {
    const { replay = [], handedReplies = [], isCutShort } = this.#setup;
    const startedAtMs = this.#nowMs();
    const attempt = await this.#link.open(timeoutMs, replay);
    this.#told.told(replay);
    this.#items.takeOver(handedReplies.filter(({ itemId }) => this.#told.has(itemId)));
    const atMs = this.#nowMs();
    this.#host.event({ type: 'ready', connectMs: atMs - startedAtMs, attempt, atMs });
    const greeting = this.#greeting.ask();
    if (greeting !== undefined) {
      const words = sayWords(greeting, 'greeting', this.#config.settings);
      this.#responses.request(replay.length === 0 ? words : this.#told.continued(words));
    } else if (isUnanswered(replay)) {
      this.#answer.owe();
      this.#responses.request();
    } else if (isCutShort && !hasOpenTool(replay)) {
      this.#responses.request(this.#told.continued(undefined));
    }
    this.#tools.takeOver(replay);
    return { upstreamSessionId: this.#link.upstreamSessionId };
  }

  sendAudio(audio: CallerAudio): boolean {
    if (audio.voicedMs !== undefined) this.#caller.heard(audio.audioMs, audio.voicedMs);
    return this.#link.sendAudio(audio);
  }

  /** `#` is told at once, other keys when no more follow. */
  sendDtmf(digits: string): void {
    this.#caller.press(digits);
  }

  prompt(instructions: string): void {
    if (!this.#closed) this.#responses.request(sayWords(instructions, 'prompt', this.#config.settings));
  }

  cancelReply(itemId: string, keptMs: number): void {
    const active = this.#running.ids();
    for (const responseId of active) {
      this.#items.interrupt(responseId);
      this.#responses.cancel(responseId);
    }
    const item = this.#items.find(itemId);
    if (!item) return;
    this.#items.shorten(item, keptMs);
    if (!active.includes(item.responseId)) this.#interrupter.settle([item]);
  }

  close(): void {
    this.#closed = true;
    this.#caller.close();
    this.#turns.close();
    this.#responses.close();
    this.#link.close();
  }

  /** Who is told of each event of the server. */
  readonly #handlers: IncomingHandlers = {
    'input_audio_buffer.speech_started': ({ itemId }) => this.#caller.speechStarted(itemId),
    'input_audio_buffer.speech_stopped': ({ itemId }) => this.#caller.speechStopped(itemId),
    'input_audio_buffer.committed': ({ itemId, previousItemId }) => this.#caller.committed(itemId, previousItemId),
    'conversation.item.added': ({ item, previousItemId }) => this.#onItemAdded(item, previousItemId),
    'conversation.item.input_audio_transcription.completed': ({ itemId, transcript, usage }) =>
      this.#caller.transcribed(itemId, transcript, usage),
    'conversation.item.input_audio_transcription.failed': ({ itemId }) => this.#caller.transcribed(itemId, null),
    'response.created': ({ response }) => this.#tracker.created(response),
    'response.output_item.added': ({ itemId, responseId }) => this.#tracker.itemStarted(itemId, responseId),
    'response.output_audio.delta': ({ itemId, responseId, base64 }) => {
      const item = this.#tracker.item(itemId, responseId);
      if (item) this.#items.audio(item, base64);
    },
    'response.output_audio.done': ({ itemId, responseId }) => {
      const item = this.#tracker.item(itemId, responseId);
      if (item) this.#items.endAudio(item);
    },
    'response.output_audio_transcript.delta': ({ itemId, responseId, text }) => {
      const item = this.#tracker.item(itemId, responseId);
      if (item) this.#items.addText(item, text);
    },
    'response.output_audio_transcript.done': ({ itemId, responseId, text }) => {
      const item = this.#tracker.item(itemId, responseId);
      if (item) this.#items.endText(item, text);
    },
    'response.output_item.done': ({ item, responseId }) => this.#tracker.itemDone(item, responseId),
    'response.done': ({ response }) => this.#tracker.done(response),
    error: ({ error }) => this.#onError(error),
  };

  readonly #linkListener: LinkListener = {
    isPause: () => {
      const { isSpeaking, isAwaitingWords } = this.#caller;
      return !isSpeaking && !isAwaitingWords && !this.#responses.isBusy && !this.#tools.isBusy;
    },
    onEvent: (event: RawEvent) => this.#incoming.accept(event),
    onLost: (error: UpstreamError) => this.#change.lost(error),
    onRestored: (restored: Restored) => this.#change.restored(restored),
    onFailed: (error: UpstreamError) => this.#fail(error),
  };

  readonly #responseListener = {
    onLost: (responseId: string, why: LossReason) => this.#tracker.lost(responseId, why),
    onGreetingOver: () => this.#onGreetingOver(),
    onFailed: (error: UpstreamError) => this.#fail(error),
  };

  #onItemAdded(item: IncomingItem, previousItemId: string | null): void {
    if (item.type !== 'message' || item.role !== 'assistant' || item.id === undefined) return;
    if (this.#told.has(item.id)) return;
    this.#host.event({ type: 'item_added', itemId: item.id, previousItemId, role: 'assistant' });
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
    } else if (rejection === 'refused' && this.#tracker.requestRefused()) {
      this.#fail(new UpstreamError('refused', name, `the upstream refused to answer twice: ${message}`));
    }
  }

  #onGreetingOver(): void {
    const wasProtected = this.#greeting.end();
    if (!wasProtected || this.#caller.isGuarded || this.#setup.interruptedBy === 'gateway') return;
    // From here on the gateway alone protects what is left of it: the server has nothing left to cancel.
    this.#config.letServerInterrupt();
    this.#link.send(interruptionUpdate(this.#config.settings, 'after-greeting'));
  }

  #fail(error: UpstreamError): void {
    if (this.#closed) return;
    this.close();
    this.#items.finish(this.#items.unfinished());
    this.#host.event({ type: 'upstream_failed', code: error.code, message: error.message });
  }
}
