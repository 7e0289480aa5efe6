import type {
  ConversationItemCreateEvent,
  ConversationItemDeleteEvent,
  ConversationItemRetrieveEvent,
  ConversationItemTruncateEvent,
  ResponseCancelEvent,
  ResponseCreateEventWithReferencesParam,
} from 'openai/resources/realtime/realtime';
import { type ClientItem, entryOfClientItem, type Hearing } from './client-items.ts';
import { type Entry, entryOf, withAudio } from './conversation.ts';
import type { Core } from './core.ts';
import { RequestError } from './errors.ts';
import { validateEvent } from './event-schemas.ts';
import { type ClientEvent, publishedItem } from './events.ts';
import { type Codec, codecOf } from './format.ts';
import { type CommitCause, InputAudio, type InputListener } from './input-audio.ts';
import { Loopback } from './loopback.ts';
import type { Response } from './response.ts';
import { Responses } from './responses.ts';
import type { SessionPatch } from './session.ts';
import { Transcriber } from './transcriber.ts';
import { Utterance } from './utterance.ts';
import { vadSettingsOf } from './vad.ts';

/** The protocol of one connection: what each client event does, and what follows from the caller's voice. */
export class Dialogue implements InputListener {
  readonly #core: Core;
  readonly #onAudio: (bytes: Uint8Array) => void;
  readonly #input: InputAudio;
  readonly #responses: Responses;
  readonly #transcriber: Transcriber;
  readonly #loopback: Loopback;
  #current: Utterance | undefined;
  #speechStartedAtMs = 0;
  readonly #handlers: Record<string, (event: ClientEvent) => void>;

  /** @param onAudio gets the bytes of each append */
  constructor(core: Core, onAudio: (bytes: Uint8Array) => void) {
    this.#core = core;
    this.#loopback = new Loopback(core.options.loopbackDeltaMs);
    this.#onAudio = onAudio;
    const { ids, session } = core;
    this.#input = new InputAudio(codecOf(session.wire.audio.input.format), this, () => ids.next('item'));
    this.#responses = new Responses(
      core,
      () => this.#hearing,
      (response) => this.#responseDone(response),
    );
    this.#transcriber = new Transcriber(core);
    this.#configureInput();
    // The casts are what `validateEvent` has proved.
    this.#handlers = {
      'session.update': (event) => this.#updateSession(event.session as SessionPatch),
      'input_audio_buffer.commit': () => this.#input.commit(),
      'input_audio_buffer.clear': () => this.#clearInput(),
      'output_audio_buffer.clear': () => this.#refuseOutputClear(),
      'conversation.item.create': (event) => this.#createItem(event as unknown as ConversationItemCreateEvent),
      'conversation.item.retrieve': (event) => this.#retrieveItem(event as unknown as ConversationItemRetrieveEvent),
      'conversation.item.truncate': (event) => this.#truncateItem(event as unknown as ConversationItemTruncateEvent),
      'conversation.item.delete': (event) => this.#deleteItem(event as unknown as ConversationItemDeleteEvent),
      'response.create': (event) =>
        this.#responses.create((event as unknown as ResponseCreateEventWithReferencesParam).response ?? {}),
      'response.cancel': (event) =>
        this.#responses.cancel((event as unknown as ResponseCancelEvent).response_id ?? undefined),
    };
  }

  get #hearing(): Hearing {
    return { codec: this.#input.codec, recogniser: this.#core.library.recogniser };
  }

  /** Does what a client event asks for, or answers it with an `error` that changes nothing. */
  handle(event: ClientEvent): void {
    try {
      if (event.type === 'input_audio_buffer.append') {
        this.#append(event.audio);
      } else {
        validateEvent(event);
        this.#handlers[event.type]!(event);
      }
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#refuse(error, event);
    }
  }

  #refuse(error: RequestError, event: ClientEvent): void {
    const eventId = typeof event.event_id === 'string' ? event.event_id : null;
    this.#core.channel.sendError(error, eventId);
  }

  // ---- session

  #updateSession(patch: SessionPatch): void {
    const { session, conversation, channel, faults, budget, options } = this.#core;
    if (budget.strikes(faults.refuseSessionUpdate)) {
      const { code, message = 'The session cannot be updated.' } = faults.refuseSessionUpdate;
      throw new RequestError(code, message, 'session');
    }
    const { model } = patch.audio?.input?.transcription ?? {};
    const refusal =
      faults.refuseTranscription ?? (options.dialect === 'no-transcription' && { code: 'model_not_found' });
    if (refusal && model) {
      const { code, param = 'session.audio.input.transcription.model' } = refusal;
      const message = `The model \`${model}\` does not exist or you do not have access to it.`;
      throw new RequestError(code, message, param);
    }
    session.update(patch, conversation.hasAssistantAudio);
    this.#configureInput();
    if (faults.ignoreSessionUpdate) return;
    channel.send({ type: 'session.updated', session: session.published });
  }

  #configureInput(): void {
    const { session, options } = this.#core;
    const { format, turn_detection: detection } = session.wire.audio.input;
    const hears = detection !== null && options.mode !== 'loopback';
    this.#input.configure(codecOf(format), hears ? vadSettingsOf(detection) : undefined);
  }

  // ---- audio from the caller

  #append(audio: unknown): void {
    const bytes = this.#input.append(audio);
    this.#onAudio(bytes);
    if (this.#core.options.mode === 'loopback') {
      this.#input.clear();
      const output = codecOf(this.#core.session.wire.audio.output.format);
      const piece = this.#loopback.pass(bytes, audio as string, this.#input.codec, output);
      if (piece) this.#responses.loop(piece);
    } else if (this.#input.isSpeaking) {
      this.#core.trigger.speechHeard(this.#input.writtenMs - this.#speechStartedAtMs);
    }
  }

  #clearInput(): void {
    this.#input.clear();
    this.#core.channel.send({ type: 'input_audio_buffer.cleared' });
  }

  #refuseOutputClear(): void {
    const message = "The 'output_audio_buffer.clear' event is only supported for WebRTC and SIP sessions.";
    throw new RequestError('invalid_value', message, 'type');
  }

  speechStarted(itemId: string, audioStartMs: number): void {
    const { channel, session, faults } = this.#core;
    this.#speechStartedAtMs = this.#input.writtenMs;
    channel.send({ type: 'input_audio_buffer.speech_started', audio_start_ms: audioStartMs, item_id: itemId });
    const interrupts = session.wire.audio.input.turn_detection?.interrupt_response ?? false;
    if (interrupts && faults.bargeIn !== 'ignored') this.#responses.interrupt();
  }

  speechStopped(itemId: string, audioEndMs: number): void {
    this.#core.channel.send({ type: 'input_audio_buffer.speech_stopped', audio_end_ms: audioEndMs, item_id: itemId });
  }

  timeoutTriggered(itemId: string, audioStartMs: number, audioEndMs: number): void {
    const type = 'input_audio_buffer.timeout_triggered' as const;
    this.#core.channel.send({ type, audio_start_ms: audioStartMs, audio_end_ms: audioEndMs, item_id: itemId });
  }

  committed(itemId: string, audio: Uint8Array, codec: Codec, cause: CommitCause): void {
    const { channel, conversation, library, session, options } = this.#core;
    const utterance = new Utterance(audio, codec, library.recogniser);
    // Only the current utterance is kept, unless everything is.
    if (!options.captureAudio) this.#current?.release();
    this.#current = utterance;
    const content = [{ type: 'input_audio' as const, transcript: null }];
    const entry = entryOf(
      { id: itemId, type: 'message', status: 'completed', role: 'user', content },
      { utterance, isSilence: cause === 'idle' },
    );
    channel.send({ type: 'input_audio_buffer.committed', previous_item_id: conversation.lastId, item_id: itemId });
    this.#announce(entry);
    if (cause !== 'idle') this.#transcriber.transcribe(entry, utterance);
    const answers = session.wire.audio.input.turn_detection?.create_response ?? false;
    if (cause === 'idle' || (cause === 'vad' && answers)) this.#responses.createAutomatically();
  }

  // ---- items

  /** Puts an item into the conversation and says so. */
  #announce(entry: Entry, previousItemId?: string | null): void {
    const { channel, conversation } = this.#core;
    const previous = conversation.add(entry, previousItemId);
    channel.send({ type: 'conversation.item.added', previous_item_id: previous, item: publishedItem(entry.item) });
    channel.send({ type: 'conversation.item.done', previous_item_id: previous, item: publishedItem(entry.item) });
  }

  #createItem(event: ConversationItemCreateEvent): void {
    const { ids, conversation } = this.#core;
    const item = event.item as ClientItem;
    const entry = entryOfClientItem(item, ids, this.#hearing);
    if (item.type !== 'function_call_output') {
      this.#announce(entry, event.previous_item_id);
      if (entry.utterance) this.#transcriber.transcribe(entry, entry.utterance);
      return;
    }
    if (!conversation.hasCall(item.call_id)) {
      const message = `Tool call ID '${item.call_id}' not found in conversation.`;
      throw new RequestError('invalid_tool_call_id', message);
    }
    // A result may come while its response is still going on, and is taken in after it.
    this.#responses.whenIdle(() => {
      try {
        this.#announce(entry, event.previous_item_id);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        this.#refuse(error, event as unknown as ClientEvent);
      }
    });
  }

  #retrieveItem({ item_id: itemId }: ConversationItemRetrieveEvent): void {
    const entry = this.#core.conversation.retrieve(itemId);
    this.#core.channel.send({ type: 'conversation.item.retrieved', item: publishedItem(withAudio(entry)) });
  }

  #truncateItem(event: ConversationItemTruncateEvent): void {
    const { conversation, channel, faults } = this.#core;
    const { item_id: itemId, content_index: contentIndex, audio_end_ms: audioEndMs } = event;
    conversation.truncate(itemId, contentIndex, audioEndMs, faults.truncationShortfallMs ?? 0);
    channel.send({
      type: 'conversation.item.truncated',
      item_id: itemId,
      content_index: contentIndex,
      audio_end_ms: audioEndMs,
    });
  }

  #deleteItem({ item_id: itemId }: ConversationItemDeleteEvent): void {
    this.#core.conversation.delete(itemId);
    this.#core.channel.send({ type: 'conversation.item.deleted', item_id: itemId });
  }

  // ---- responses

  #responseDone(response: Response): void {
    this.#transcriber.responseDone();
    if (response.hasFunctionCall) this.#core.trigger.reached('tool');
    const detection = this.#core.session.wire.audio.input.turn_detection;
    const timeoutMs = detection?.type === 'server_vad' ? detection.idle_timeout_ms : null;
    if (timeoutMs !== null) this.#input.armIdle(response.unplayedMs, timeoutMs);
    else this.#input.disarmIdle();
  }

  close(): void {
    this.#responses.close();
  }
}
