import type {
  RealtimeResponse,
  RealtimeResponseStatus,
  RealtimeResponseUsage,
} from 'openai/resources/realtime/realtime';
import type { Core } from './core.ts';
import { asPublished, type OnTheWire } from './events.ts';
import { OutputItem } from './output-item.ts';
import { type PlannedItem, planReply } from './reply.ts';
import type { ResponseRequest } from './response-request.ts';
import { addTokens, assistantAudioTokens, type Tokens, textTokens, usageOf } from './usage.ts';
import type { AudioPiece, Speech } from './voice.ts';

/** How many deltas of a cancelled response still arrive, where that fault is on. */
const STRAGGLING_DELTAS = 3;

/** How long a response that is to be cancelled before any output waits for the caller to speak. */
const HELD_MS = 10_000;

/** Generation time of a piece of text, in milliseconds of the speech that it would be. */
const TEXT_PIECE_MS = 40;

/** Marks the wait for the caller in {@link FaultBudget}: it happens to one response. */
const HELD_ONCE = { times: 1 };

export type CancelReason = 'turn_detected' | 'client_cancelled';

type Ending =
  | { status: 'completed' }
  | { status: 'cancelled'; reason: CancelReason }
  | { status: 'incomplete'; reason: 'max_output_tokens' | 'content_filter' }
  | { status: 'failed'; code: string | null; message: string };

/** One response, from `response.created` to `response.done`. */
export class Response {
  readonly id: string;
  readonly request: ResponseRequest;
  readonly #core: Core;
  readonly #onDone: (response: Response) => void;
  readonly #items: OutputItem[] = [];
  #steps: Iterator<number, Ending> | undefined;
  #stopTimer: () => void = () => {};
  #prompt: { input: Tokens; cached: Tokens } | undefined;
  #usage: RealtimeResponseUsage | undefined;
  #isDone = false;
  /** Pieces of the item being spoken that were not sent yet. */
  #upcoming: AudioPiece[] = [];
  #firstAudioAtMs: number | undefined;

  constructor(core: Core, request: ResponseRequest, onDone: (response: Response) => void) {
    this.#core = core;
    this.request = request;
    this.#onDone = onDone;
    this.id = core.ids.next('resp');
  }

  /** Milliseconds of audio sent. */
  get audioMs(): number {
    return this.#items.reduce((sum, { entry }) => sum + entry.audioMs, 0);
  }

  /** Milliseconds of this response's audio that a listener who plays it at once has still to hear. */
  get unplayedMs(): number {
    if (this.#firstAudioAtMs === undefined) return 0;
    return Math.max(0, this.audioMs - (performance.now() - this.#firstAudioAtMs));
  }

  /** Billed tokens, once done. */
  get usage(): RealtimeResponseUsage | undefined {
    return this.#usage;
  }

  get hasFunctionCall(): boolean {
    return this.#items.some((item) => item.isFunctionCall);
  }

  start(): void {
    const response = this.#wire('in_progress', null, null);
    this.#core.channel.send({ type: 'response.created', response });
    this.#steps = this.#generate();
    this.#advance();
  }

  #wire(
    status: NonNullable<RealtimeResponse['status']>,
    details: OnTheWire<RealtimeResponseStatus> | null,
    usage: RealtimeResponseUsage | null,
  ): RealtimeResponse {
    const { request } = this;
    const voice = typeof request.voice === 'string' ? request.voice : request.voice.id;
    return asPublished<RealtimeResponse>({
      object: 'realtime.response',
      id: this.id,
      status,
      status_details: details,
      output: this.#items.map((item) => item.wire),
      conversation_id: request.inConversation ? this.#core.conversation.id : null,
      output_modalities: [request.modality],
      max_output_tokens: request.maxOutputTokens,
      audio: { output: { format: request.format, voice } },
      usage,
      metadata: request.metadata,
    });
  }

  /** Runs the generation until it has to wait. */
  #advance(): void {
    while (!this.#isDone && this.#steps) {
      const step = this.#steps.next();
      if (step.done) {
        this.#finish(step.value);
        return;
      }
      if (step.value > 0) {
        this.#stopTimer = this.#core.timers.after(step.value, () => this.#advance());
        return;
      }
    }
  }

  /** Generates the response; yields how long to wait before going on, in milliseconds. */
  *#generate(): Generator<number, Ending> {
    const { faults, budget, options } = this.#core;
    // In loopback mode the first chunk waits for the item that carries it.
    if (options.mode !== 'loopback') yield options.responseDelayMs;
    if (faults.bargeIn === 'before_output' && budget.strikes(HELD_ONCE)) yield HELD_MS;
    if (budget.strikes(faults.failResponses)) return failure(faults.failResponses);
    const cut = budget.strikes(faults.incompleteResponses) ? faults.incompleteResponses.reason : undefined;
    const plan = planReply(this.#core, this.request);
    this.#prompt = this.#core.conversation.prompt(this.request.preamble, this.request.input);
    let afterFirstDelta = () => {};
    for (const planned of plan) {
      const item = this.#open(planned);
      const ending = yield* this.#produce(item, planned, cut, afterFirstDelta);
      if (ending) return ending;
      afterFirstDelta = () => item.close('completed');
      if (!faults.overlappingItems || planned === plan.at(-1)) afterFirstDelta();
    }
    return { status: 'completed' };
  }

  #open(planned: PlannedItem): OutputItem {
    const place = { responseId: this.id, outputIndex: this.#items.length, inConversation: this.request.inConversation };
    const item = new OutputItem(this.#core, place, planned);
    this.#items.push(item);
    return item;
  }

  *#produce(
    item: OutputItem,
    planned: PlannedItem,
    cut: 'max_output_tokens' | 'content_filter' | undefined,
    afterFirstDelta: () => void,
  ): Generator<number, Ending | undefined> {
    if (planned.kind === 'stream') while (true) yield HELD_MS;
    if (planned.kind === 'speech') return yield* this.#speak(item, planned.speech, cut, afterFirstDelta);
    const pieces = planned.kind === 'text' ? wordsOf(planned.text) : (planned.arguments.match(/[\s\S]{1,6}/g) ?? []);
    const stopAt = cut ? Math.floor(pieces.length / 2) : pieces.length;
    for (const [index, piece] of pieces.entries()) {
      if (index === stopAt) return { status: 'incomplete', reason: cut ?? 'max_output_tokens' };
      if (this.#outgrows(textTokens(piece))) return { status: 'incomplete', reason: 'max_output_tokens' };
      if (index > 0) yield this.#paceMs(TEXT_PIECE_MS);
      item.write(piece);
      if (index === 0) afterFirstDelta();
    }
    return undefined;
  }

  /** Words run a little ahead of the audio they are heard in. */
  *#speak(
    item: OutputItem,
    speech: Speech,
    cut: 'max_output_tokens' | 'content_filter' | undefined,
    afterFirstDelta: () => void,
  ): Generator<number, Ending | undefined> {
    const words = wordsOf(speech.text);
    const stopAt = cut ? Math.floor(speech.pieces.length / 2) : speech.pieces.length;
    let spokenMs = 0;
    let said = 0;
    for (const [index, piece] of speech.pieces.entries()) {
      this.#upcoming = speech.pieces.slice(index);
      if (index > 0) yield this.#paceMs(piece.durationMs);
      if (index === stopAt) return { status: 'incomplete', reason: cut ?? 'max_output_tokens' };
      spokenMs += piece.durationMs;
      const sayable = Math.min(words.length, Math.ceil((words.length * spokenMs) / speech.durationMs));
      if (this.#outgrows(assistantAudioTokens(piece.durationMs) + sayable - said)) {
        return { status: 'incomplete', reason: 'max_output_tokens' };
      }
      for (; said < sayable; said++) item.write(words[said]!);
      this.#upcoming = speech.pieces.slice(index + 1);
      this.#play(item, piece);
      if (this.#isDone) return undefined;
      if (index === 0) afterFirstDelta();
    }
    return undefined;
  }

  #play(item: OutputItem, piece: AudioPiece): void {
    this.#firstAudioAtMs ??= performance.now();
    item.play(piece);
    this.#core.trigger.replySent(this.audioMs);
  }

  /** Wall time in which audio of `durationMs` is generated. */
  #paceMs(durationMs: number): number {
    return this.#core.faults.bargeIn === 'after_generation' ? 0 : durationMs / this.#core.options.speedup;
  }

  get #output(): Tokens {
    const tokens = this.#items.map(({ text, entry }) => ({
      text: textTokens(text),
      audio: assistantAudioTokens(entry.audioMs),
    }));
    return tokens.reduce(addTokens, { text: 0, audio: 0 });
  }

  #outgrows(moreTokens: number): boolean {
    const { maxOutputTokens } = this.request;
    if (maxOutputTokens === 'inf') return false;
    const { text, audio } = this.#output;
    return text + audio + moreTokens > maxOutputTokens;
  }

  /** Sends audio from outside as the next delta of the item that is open for it. */
  feed(piece: AudioPiece): void {
    const item = this.#items.findLast(({ isOpen }) => isOpen);
    if (item && !this.#isDone) this.#play(item, piece);
  }

  /** Shows that the response goes on, though there is no audio for it: words may come before they are spoken. */
  goOn(): void {
    if (!this.#isDone) this.#items.findLast(({ isOpen }) => isOpen)?.write('');
  }

  /** Ends the response where it stands. Items that have begun are closed as incomplete. */
  cancel(reason: CancelReason): void {
    if (this.#isDone) return;
    if (reason === 'turn_detected' && this.#core.faults.bargeIn === 'straggling_deltas') {
      const item = this.#items.findLast(({ isOpen }) => isOpen);
      for (const piece of item ? this.#upcoming.slice(0, STRAGGLING_DELTAS) : []) item?.play(piece);
    }
    this.#finish({ status: 'cancelled', reason });
  }

  /** Stops without a word, as when the connection has ended. */
  abandon(): void {
    this.#isDone = true;
    this.#stopTimer();
  }

  #finish(ending: Ending): void {
    if (this.#isDone) return;
    this.abandon();
    for (const item of this.#items) item.close(ending.status === 'completed' ? 'completed' : 'incomplete');
    const nothing = { text: 0, audio: 0 };
    const usage = usageOf(this.#prompt?.input ?? nothing, this.#prompt?.cached ?? nothing, this.#output);
    this.#usage = usage;
    const { channel, session, stats } = this.#core;
    const response = this.#wire(ending.status, detailsOf(ending), usage);
    if (channel.send({ type: 'response.done', response })) stats.billed(session.wire.model, usage);
    this.#onDone(this);
  }
}

function detailsOf(ending: Ending): OnTheWire<RealtimeResponseStatus> | null {
  if (ending.status === 'completed') return null;
  if (ending.status === 'failed') {
    const { code, message } = ending;
    // The type of a rate limit's error is what ran out, of a quota's it is the code itself.
    const type = code === 'rate_limit_exceeded' ? 'tokens' : code === 'insufficient_quota' ? code : 'server_error';
    return { type: 'failed', error: { type, code, message } };
  }
  return { type: ending.status, reason: ending.reason };
}

const FAILURES: Record<string, string> = {
  insufficient_quota: 'You exceeded your current quota, please check your plan and billing details.',
  rate_limit_exceeded: 'Rate limit reached for the model on tokens per min. Please try again later.',
  inference_rate_limit_exceeded: 'The inference rate limit was exceeded. Please try again later.',
};

function failure({ code, message }: { code: string | null; message?: string }): Ending {
  const usual = 'The server had an error while processing your request. Sorry about that!';
  return { status: 'failed', code, message: message ?? FAILURES[code ?? ''] ?? usual };
}

/** Words with the space before them, as deltas carry them. */
function wordsOf(text: string): string[] {
  return text.match(/\s*\S+/g) ?? [];
}
