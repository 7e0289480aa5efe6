import type { ClientItem, Hearing } from './client-items.ts';
import { entryOfClientItem } from './client-items.ts';
import type { Entry } from './conversation.ts';
import type { Core } from './core.ts';
import { RequestError } from './errors.ts';
import { type CancelReason, Response } from './response.ts';
import { type ResponseParams, responseRequest } from './response-request.ts';
import type { AudioPiece } from './voice.ts';

/** The endless response of the loopback mode shows this often that it goes on. */
const LOOP_QUIET_MS = 2_000;

/** Tokens a minute that the account may use; `rate_limits.updated` tells what is left of them. */
const TOKENS_PER_MINUTE = 15_000_000;

/** The responses of a connection: one at a time in the conversation, any number beside it. */
export class Responses {
  readonly #core: Core;
  readonly #hearing: () => Hearing;
  readonly #onDone: (response: Response) => void;
  #active: Response | undefined;
  #loopIsQuiet: (() => void) | undefined;
  readonly #outOfBand = new Set<Response>();
  /** What has to wait for the end of the active response. */
  readonly #deferred: (() => void)[] = [];

  /** @param onDone is told of every response of the conversation that has ended, cancelled ones too */
  constructor(core: Core, hearing: () => Hearing, onDone: (response: Response) => void) {
    this.#core = core;
    this.#hearing = hearing;
    this.#onDone = onDone;
  }

  /** The response in progress in the conversation. */
  get active(): Response | undefined {
    return this.#active;
  }

  /**
   * The client's `response.create`.
   * @throws RequestError `conversation_already_has_active_response`, `item_not_found`
   */
  create(params: ResponseParams): void {
    const inConversation = params.conversation !== 'none';
    if (inConversation && this.#active) {
      const message = `Conversation already has an active response in progress: ${this.#active.id}. Wait until the response is finished before creating a new one.`;
      throw new RequestError('conversation_already_has_active_response', message);
    }
    const input = params.input?.map((item) =>
      this.#inputEntry(item as ClientItem | { type: 'item_reference'; id: string }),
    );
    this.#start(params, input);
  }

  #inputEntry(item: ClientItem | { type: 'item_reference'; id: string }): Entry {
    if (item.type !== 'item_reference') return entryOfClientItem(item, this.#core.ids, this.#hearing());
    const entry = this.#core.conversation.find(item.id);
    if (entry) return entry;
    throw new RequestError('item_not_found', `Item with id '${item.id}' not found.`, 'response.input');
  }

  /** The response that follows a turn by itself. Not created while another is active. */
  createAutomatically(): void {
    if (!this.#active) this.#start({}, undefined);
  }

  #start(params: ResponseParams, input: Entry[] | undefined): void {
    const request = responseRequest(this.#core.session.wire, params, input);
    const response = new Response(this.#core, request, (done) => this.#ended(done));
    if (request.inConversation) this.#active = response;
    else this.#outOfBand.add(response);
    response.start();
  }

  /** The client's `response.cancel`. @throws RequestError `response_cancel_not_active` */
  cancel(responseId: string | undefined): void {
    const everyone = [...(this.#active ? [this.#active] : []), ...this.#outOfBand];
    const response = responseId === undefined ? this.#active : everyone.find(({ id }) => id === responseId);
    if (!response) {
      throw new RequestError('response_cancel_not_active', 'Cancellation failed: no active response found');
    }
    response.cancel('client_cancelled');
  }

  /** The caller speaks: ends the response of the conversation, if there is one. */
  interrupt(reason: CancelReason = 'turn_detected'): void {
    this.#active?.cancel(reason);
  }

  /** Sends audio through the endless response of the loopback mode, which begins with the first of it. */
  loop(piece: AudioPiece): void {
    this.createAutomatically();
    this.#active?.feed(piece);
    this.#loopIsQuiet?.();
    this.#sayItGoesOn();
  }

  /** A response that says nothing for long has broken off; this one has not, its caller only says nothing. */
  #sayItGoesOn(): void {
    this.#loopIsQuiet = this.#core.timers.after(LOOP_QUIET_MS, () => {
      if (!this.#active) return;
      this.#active.goOn();
      this.#sayItGoesOn();
    });
  }

  /** Runs `task` now, or once the active response is done. */
  whenIdle(task: () => void): void {
    if (this.#active) this.#deferred.push(task);
    else task();
  }

  #ended(response: Response): void {
    const used = response.usage?.total_tokens ?? 0;
    const isOfConversation = response === this.#active;
    if (isOfConversation) this.#active = undefined;
    else this.#outOfBand.delete(response);
    if (used > 0) this.#reportLimits(used);
    if (!isOfConversation) return;
    for (const task of this.#deferred.splice(0)) task();
    this.#onDone(response);
  }

  /** What is left of the account's tokens. A response that used none is not worth telling. */
  #reportLimits(usedTokens: number): void {
    this.#core.channel.send({
      type: 'rate_limits.updated',
      rate_limits: [
        {
          name: 'tokens',
          limit: TOKENS_PER_MINUTE,
          remaining: TOKENS_PER_MINUTE - usedTokens,
          reset_seconds: Number(((60 * usedTokens) / TOKENS_PER_MINUTE).toFixed(3)),
        },
      ],
    });
  }

  close(): void {
    this.#active?.abandon();
    for (const response of this.#outOfBand) response.abandon();
    this.#active = undefined;
    this.#outOfBand.clear();
    this.#deferred.length = 0;
  }
}
