import type { ConversationItem, RealtimeResponse } from 'openai/resources/realtime/realtime';
import type { UplinkFrame } from './audio-ring.ts';
import type { UpstreamTarget } from './connection.ts';
import type { ReplayItem } from './conversation.ts';
import type { RealtimeHost } from './host.ts';
import { Interrupter } from './interrupter.ts';
import { ReplyItems } from './reply-items.ts';
import { ResponseScheduler } from './response-scheduler.ts';
import { dispatch, type ServerEventHandlers } from './server-events.ts';
import { interruptionUpdate, type RealtimeSettings } from './settings.ts';
import { ToolRunner } from './tool-runner.ts';
import { classifyServerError, UpstreamError } from './upstream-error.ts';
import { type ReconnectPolicy, type Restored, UpstreamLink } from './upstream-link.ts';
import { tokenUsage } from './usage.ts';
import { VoiceGuard } from './voice-guard.ts';

export interface RealtimeSessionOptions {
  readonly target: UpstreamTarget;
  readonly settings: RealtimeSettings;
  readonly policy: ReconnectPolicy;
  /** What the agent says first; absent: it waits to be spoken to. */
  readonly greeting?: { readonly instructions: string; readonly interruptible: boolean } | undefined;
  /** Speech shorter than this does not interrupt; 0: any speech does. */
  readonly minInterruptionMs: number;
  /** The conversation so far, where the call goes on from another worker. */
  readonly replay?: readonly ReplayItem[] | undefined;
  /** The monotonic clock shared with the host, in milliseconds. */
  readonly nowMs: () => number;
}

/** A caller's audio with how much of it was loud, where that is measured. */
export interface CallerFrame extends UplinkFrame {
  readonly voicedMs?: number;
}

const RESPONSE_RETRY_MS = 750;
/** Keys pressed within this time are told together. */
const DTMF_GATHER_MS = 1_000;
const MAX_ITEM_ID = 32;

/** One call's conversation with the Realtime API, over as many connections as it takes. */
export class RealtimeSession {
  #options: RealtimeSessionOptions;
  #host: RealtimeHost;
  #link: UpstreamLink;
  #items = new ReplyItems();
  #responses: ResponseScheduler;
  #interrupter: Interrupter;
  #tools: ToolRunner;
  #guard: VoiceGuard;
  #interruptedBy: RealtimeSettings['interruptedBy'];
  #userSpeaking = false;
  /** User items whose speech was too short to interrupt, and is to be forgotten. */
  #ignoredItems = new Set<string>();
  #guardStartedAtMs: number | undefined;
  /** A turn of the caller that no completed response has answered. */
  #owesResponse = false;
  #greetingState: 'pending' | 'asked' | 'over';
  #greetingResponseId: string | undefined;
  #failedResponses = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #dtmf = '';
  #dtmfTimer: NodeJS.Timeout | undefined;
  #ownItems = 0;
  #lostAtMs: number | undefined;
  #closed = false;

  constructor(options: RealtimeSessionOptions, host: RealtimeHost) {
    this.#options = options;
    this.#host = host;
    this.#guard = new VoiceGuard(options.minInterruptionMs);
    this.#greetingState = options.greeting && !options.replay?.length ? 'pending' : 'over';
    const greetingIsProtected = this.#greetingState === 'pending' && options.greeting?.interruptible === false;
    this.#interruptedBy = this.#guard.isOn || greetingIsProtected ? 'gateway' : options.settings.interruptedBy;
    this.#link = new UpstreamLink({
      target: options.target,
      settings: { ...options.settings, interruptedBy: this.#interruptedBy },
      policy: options.policy,
      connectPermit: () => host.connectPermit(),
      connectResult: (result) => host.connectResult(result),
      history: () => host.history(),
      isPause: () => !this.#userSpeaking && !this.#responses.isBusy && !this.#tools.isBusy,
      onEvent: (event) => dispatch(this.#handlers, event),
      onLost: (error) => this.#onLost(error),
      onRestored: (restored) => this.#onRestored(restored),
      onFailed: (error) => this.#fail(error),
    });
    this.#responses = new ResponseScheduler((event) => this.#link.send(event));
    this.#interrupter = new Interrupter(host, this.#items, (event) => this.#link.send(event));
    this.#tools = new ToolRunner(
      host,
      (event) => this.#link.send(event),
      () => this.#responses.request(),
    );
  }

  /** Bytes waiting in the socket. */
  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  /**
   * Connects and greets.
   * @throws {UpstreamError} when the upstream refuses or `timeoutMs` is over
   */
  async open(timeoutMs: number): Promise<{ upstreamSessionId: string | undefined }> {
    const startedAtMs = this.#options.nowMs();
    const attempt = await this.#link.open(timeoutMs, this.#options.replay);
    this.#host.event({ type: 'ready', connectMs: this.#options.nowMs() - startedAtMs, attempt });
    if (this.#greetingState === 'pending') {
      this.#greetingState = 'asked';
      this.#responses.request({ instructions: this.#options.greeting!.instructions, metadata: { why: 'greeting' } });
    } else if (this.#options.replay?.at(-1)?.kind === 'message') {
      const last = this.#options.replay.at(-1) as Extract<ReplayItem, { kind: 'message' }>;
      if (last.role === 'user') this.#responses.request();
    }
    return { upstreamSessionId: this.#link.upstreamSessionId };
  }

  /** Sends caller audio. Returns whether it went out at once; otherwise it waits for the next connection. */
  sendAudio(frame: CallerFrame): boolean {
    if (this.#guard.isOn && frame.voicedMs !== undefined) {
      this.#guard.add(frame.audioMs, frame.voicedMs);
      if (this.#guardStartedAtMs !== undefined && this.#guard.isSpeech) this.#interruptAsGuarded();
    }
    return this.#link.sendAudio(frame);
  }

  /** Tells the agent which keys the caller pressed; `#` tells at once, others wait a moment for more. */
  sendDtmf(digits: string): void {
    this.#dtmf += digits;
    clearTimeout(this.#dtmfTimer);
    if (digits.endsWith('#')) this.#flushDtmf();
    else this.#dtmfTimer = setTimeout(() => this.#flushDtmf(), DTMF_GATHER_MS);
  }

  /** Has the agent say something of the gateway's choosing. */
  prompt(instructions: string): void {
    this.#responses.request({ instructions, metadata: { why: 'prompt' } });
  }

  /** Stops the reply because more of it is queued than anybody will listen to. */
  cancelReply(): void {
    for (const responseId of this.#responses.active) {
      this.#items.interrupt(responseId);
      this.#link.send({ type: 'response.cancel', response_id: responseId });
    }
  }

  /** Ends the session without another event. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#dtmfTimer);
    this.#responses.close();
    this.#link.close();
  }

  readonly #handlers: ServerEventHandlers = {
    'input_audio_buffer.speech_started': ({ item_id }) => this.#onSpeechStarted(item_id),
    'input_audio_buffer.speech_stopped': ({ item_id }) => this.#onSpeechStopped(item_id),
    'input_audio_buffer.committed': ({ item_id, previous_item_id }) =>
      this.#onCommitted(item_id, previous_item_id ?? null),
    'conversation.item.added': ({ item, previous_item_id }) => this.#onItemAdded(item, previous_item_id ?? null),
    'conversation.item.input_audio_transcription.completed': ({ item_id, transcript }) => {
      if (!this.#ignoredItems.has(item_id))
        this.#host.event({ type: 'user_text', itemId: item_id, text: transcript.trim() });
    },
    'conversation.item.input_audio_transcription.failed': ({ item_id }) => {
      if (!this.#ignoredItems.has(item_id)) this.#host.event({ type: 'user_text', itemId: item_id, text: null });
    },
    'response.created': ({ response }) => this.#onResponseCreated(response),
    'response.output_audio.delta': ({ item_id, response_id, delta }) => this.#onDelta(item_id, response_id, delta),
    'response.output_audio.done': ({ item_id, response_id }) => this.#endAudio(item_id, response_id),
    'response.output_audio_transcript.delta': ({ item_id, response_id, delta }) => {
      this.#item(item_id, response_id).text += delta;
    },
    'response.output_audio_transcript.done': ({ item_id, response_id, transcript }) => {
      this.#item(item_id, response_id).text = transcript;
      this.#endText(item_id);
    },
    'response.output_item.done': ({ item, response_id }) => this.#onOutputItemDone(item, response_id),
    'response.done': ({ response }) => this.#onResponseDone(response),
    error: ({ error }) => this.#onError(error),
  };

  // The caller's turn

  #onSpeechStarted(itemId: string): void {
    const atMs = this.#options.nowMs();
    this.#userSpeaking = true;
    this.#responses.hold();
    this.#host.event({ type: 'speech_started', itemId, atMs });
    if (this.#guard.isOn) {
      void this.#guardAgainst(itemId, atMs);
      return;
    }
    const active = [...this.#responses.active];
    void this.#interrupt(atMs);
    // The server has cancelled them already; what still comes of them is late. Marked after the interruption took its
    // list of open items, which is to name them.
    if (this.#interruptedBy === 'server') for (const responseId of active) this.#items.interrupt(responseId);
  }

  /** Waits until the speech is long enough, if there is anything it would interrupt. */
  async #guardAgainst(itemId: string, atMs: number): Promise<void> {
    const isPlaying = await this.#host.isPlaying(this.#items.open()).catch(() => false);
    if (!isPlaying) return;
    if (!this.#userSpeaking) {
      this.#ignoredItems.add(itemId);
      return;
    }
    this.#guardStartedAtMs = atMs;
    if (this.#guard.isSpeech) this.#interruptAsGuarded();
  }

  #interruptAsGuarded(): void {
    const startedAtMs = this.#guardStartedAtMs!;
    this.#guardStartedAtMs = undefined;
    void this.#interrupt(startedAtMs);
  }

  async #interrupt(atMs: number): Promise<void> {
    try {
      await this.#interrupter.interrupt(atMs, new Set(this.#responses.active), this.#interruptedBy === 'gateway');
    } catch {
      // The gateway no longer answers for this call: it is ending.
    }
  }

  #onSpeechStopped(itemId: string): void {
    this.#userSpeaking = false;
    this.#host.event({ type: 'speech_stopped', itemId, atMs: this.#options.nowMs() });
    if (this.#guardStartedAtMs !== undefined) {
      this.#guardStartedAtMs = undefined;
      this.#ignoredItems.add(itemId);
    }
    if (this.#interruptedBy === 'server') this.#responses.release(true);
  }

  #onCommitted(itemId: string, previousItemId: string | null): void {
    if (this.#ignoredItems.has(itemId)) {
      this.#link.send({ type: 'conversation.item.delete', item_id: itemId });
      this.#host.event({ type: 'item_removed', itemId });
      this.#responses.release(false);
      return;
    }
    this.#owesResponse = true;
    this.#host.event({ type: 'item_added', itemId, previousItemId, role: 'user' });
    if (this.#interruptedBy === 'gateway') {
      this.#responses.release(false);
      this.#responses.request();
    }
  }

  #flushDtmf(): void {
    clearTimeout(this.#dtmfTimer);
    const digits = this.#dtmf;
    this.#dtmf = '';
    if (digits === '' || this.#closed) return;
    const itemId = `dtmf_${++this.#ownItems}_${Date.now().toString(36)}`.slice(0, MAX_ITEM_ID);
    const text = `(pressed ${digits})`;
    this.#link.send({
      type: 'conversation.item.create',
      item: {
        type: 'message',
        id: itemId,
        role: 'user',
        content: [{ type: 'input_text', text: `The caller pressed these keys on the telephone: ${digits}` }],
      },
    });
    this.#host.event({ type: 'item_added', itemId, previousItemId: null, role: 'user' });
    this.#host.event({ type: 'user_text', itemId, text });
    this.#host.event({ type: 'dtmf_sent', digits });
    this.#owesResponse = true;
    const active = new Set(this.#responses.active);
    // A key press interrupts as speech does, but the server does not cancel for it.
    void this.#interrupter
      .interrupt(this.#options.nowMs(), active, true)
      .catch(() => false)
      .then(() => this.#responses.request());
  }

  // The reply

  #onItemAdded(item: ConversationItem, previousItemId: string | null): void {
    if (item.type === 'message' && item.role === 'assistant' && item.id) {
      this.#host.event({ type: 'item_added', itemId: item.id, previousItemId, role: 'assistant' });
    }
  }

  #onResponseCreated(response: RealtimeResponse): void {
    if (!response.id) return;
    this.#responses.started(response.id);
    if (response.metadata?.['why'] === 'greeting') this.#greetingResponseId = response.id;
    this.#host.event({ type: 'response_started', responseId: response.id, atMs: this.#options.nowMs() });
  }

  #item(itemId: string, responseId: string) {
    const isProtected = responseId === this.#greetingResponseId && this.#options.greeting?.interruptible === false;
    return this.#items.get(itemId, responseId, isProtected);
  }

  #onDelta(itemId: string, responseId: string, base64: string): void {
    if (this.#items.isInterrupted(responseId)) return;
    const item = this.#item(itemId, responseId);
    const audioMs = base64Bytes(base64) / (this.#options.settings.audioType === 'audio/pcm' ? 48 : 8);
    item.receivedMs += audioMs;
    this.#host.audio({ kind: 'delta', itemId, base64, audioMs, receivedAtMs: this.#options.nowMs() });
  }

  #endAudio(itemId: string, responseId: string): void {
    const item = this.#item(itemId, responseId);
    if (item.audioEnded) return;
    item.audioEnded = true;
    this.#host.audio({ kind: 'end', itemId });
  }

  #endText(itemId: string): void {
    const item = this.#items.find(itemId);
    if (!item || item.textReported) return;
    item.textReported = true;
    this.#host.event({ type: 'assistant_text', itemId, text: item.text });
  }

  #onOutputItemDone(item: ConversationItem, responseId: string): void {
    if (item.type !== 'function_call' || item.status !== 'completed' || !item.call_id) return;
    const { id, call_id: toolCallId, name, arguments: args } = item;
    this.#tools.call(responseId, { itemId: id ?? toolCallId, toolCallId, name, arguments: args });
  }

  #onResponseDone(response: RealtimeResponse): void {
    const responseId = response.id ?? '';
    for (const item of this.#items.ofResponse(responseId)) {
      this.#endAudio(item.itemId, responseId);
      this.#endText(item.itemId);
    }
    const { status = 'completed', status_details: details } = response;
    const usage = tokenUsage(response.usage);
    const reason = details?.error?.code ?? details?.reason;
    this.#host.event({
      type: 'response_done',
      responseId,
      status,
      ...(reason ? { reason } : {}),
      ...(usage ? { usage } : {}),
    });
    if (responseId === this.#greetingResponseId) this.#greetingIsGenerated();
    if (status === 'failed') this.#retryResponse(reason ?? 'response_failed', responseId);
    else {
      this.#failedResponses = 0;
      // A cancelled reply is answered by the turn that cancelled it.
      this.#owesResponse = false;
      this.#responses.done(responseId);
    }
    this.#tools.responseDone(responseId);
  }

  #greetingIsGenerated(): void {
    this.#greetingState = 'over';
    // From here on the gateway alone protects what is left of it: the server has nothing left to cancel.
    if (this.#interruptedBy === 'server' || this.#guard.isOn || this.#options.settings.interruptedBy === 'gateway')
      return;
    this.#interruptedBy = 'server';
    const settings = { ...this.#options.settings, interruptedBy: 'server' as const };
    this.#link.reconfigure(settings);
    this.#link.send(interruptionUpdate(settings, 'after-greeting'));
  }

  /** One more try after a failed response; after that the call cannot go on. */
  #retryResponse(code: string, responseId: string): void {
    this.#failedResponses += 1;
    if (this.#failedResponses > 1) {
      this.#responses.done(responseId);
      this.#fail(new UpstreamError('refused', code, `the upstream failed to answer twice (${code})`));
      return;
    }
    this.#retryTimer = setTimeout(() => {
      this.#responses.done(responseId);
      this.#responses.request();
    }, RESPONSE_RETRY_MS);
  }

  // Trouble

  #onError(error: { code?: string | null; message?: string; event_id?: string | null }): void {
    const { code, message = '', event_id: eventId } = error;
    const isOurs =
      eventId != null && (this.#responses.rejected(eventId, code) || this.#interrupter.rejected(eventId, message));
    const verdict = isOurs ? 'benign' : classifyServerError(code);
    this.#host.event({ type: 'upstream_error', verdict, code: code ?? 'unknown', message });
    if (verdict === 'fatal')
      this.#fail(new UpstreamError('refused', code ?? 'error', `the upstream ended the session: ${message}`));
    else if (code === 'session_expired') this.#link.fail(new UpstreamError('unavailable', 'session_expired', message));
  }

  #onLost(error: UpstreamError): void {
    this.#lostAtMs ??= this.#options.nowMs();
    this.#userSpeaking = false;
    this.#guardStartedAtMs = undefined;
    clearTimeout(this.#retryTimer);
    this.#settleLostReplies();
    this.#host.event({ type: 'upstream_lost', code: error.code, message: error.message });
  }

  /** What the old connection began to say will not be finished; what came of it is played and stands. */
  #settleLostReplies(): void {
    this.#owesResponse ||= this.#responses.isBusy;
    for (const item of this.#items.unfinished()) {
      this.#endAudio(item.itemId, item.responseId);
      this.#endText(item.itemId);
    }
    this.#responses.reset();
  }

  #onRestored({ cause, replayed, tookMs, attempt, droppedAudioMs }: Restored): void {
    if (cause === 'rotated' && this.#lostAtMs === undefined) {
      this.#settleLostReplies();
      this.#host.event({ type: 'rotated', tookMs });
    } else {
      this.#lostAtMs = undefined;
      this.#host.event({ type: 'upstream_restored', outageMs: tookMs, attempt, droppedAudioMs });
    }
    this.#failedResponses = 0;
    const toolsWereBusy = this.#tools.isBusy;
    this.#tools.restored(replayed);
    // Running tools ask for the answer themselves when their results are in.
    if (this.#owesResponse && !toolsWereBusy) {
      this.#responses.request(
        this.#greetingState === 'asked'
          ? { instructions: this.#options.greeting!.instructions, metadata: { why: 'greeting' } }
          : undefined,
      );
    }
  }

  #fail(error: UpstreamError): void {
    if (this.#closed) return;
    this.close();
    for (const item of this.#items.unfinished()) {
      this.#endAudio(item.itemId, item.responseId);
      this.#endText(item.itemId);
    }
    this.#host.event({ type: 'upstream_failed', code: error.code, message: error.message });
  }
}

/** Bytes that padded base64 stands for. */
function base64Bytes(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}
