import type { ConversationItemCreateEvent, ConversationItemTruncateEvent } from 'openai/resources/realtime/realtime';
import { cutToHeard } from '../upstream/conversation.ts';
import type { ConversationHost, InterruptVerdict, OpenItem } from '../upstream/host.ts';
import type { EventSender } from './event-sender.ts';
import type { ReplyItem, ReplyItems } from './reply-items.ts';
import type { ResponseScheduler } from './response-scheduler.ts';
import type { ToldConversation } from './told-conversation.ts';

/** How the server quotes an item's real length when it was asked to keep more. */
const REAL_LENGTH = /audio content of (\d+) ?ms is already shorter/i;
/** Truncations remembered for a refusal that names one. */
const MAX_REMEMBERED = 64;
/** A millisecond is the resolution of the server's own cut. */
const RESOLUTION_MS = 1;

export interface Interruption {
  /** When the caller began to speak, on the host's clock. */
  readonly startedAtMs: number;
  /** Responses that run. */
  readonly active: ReadonlySet<string>;
  /** Whether they are to be cancelled, because the server does not do it by itself. */
  readonly cancel: boolean;
}

export interface InterrupterOptions {
  readonly link: EventSender;
  readonly host: ConversationHost;
  readonly items: ReplyItems;
  readonly responses: Pick<ResponseScheduler, 'cancel'>;
  readonly told: Pick<ToldConversation, 'previousOf'>;
}

/** Stops the reply when the caller speaks: playback here, memory upstream. */
export class Interrupter {
  readonly #link: EventSender;
  readonly #host: ConversationHost;
  readonly #items: ReplyItems;
  readonly #responses: Pick<ResponseScheduler, 'cancel'>;
  readonly #told: Pick<ToldConversation, 'previousOf'>;
  readonly #truncates = new Map<string, { readonly itemId: string; readonly isRetry: boolean }>();
  #count = 0;
  #underWay: Promise<void> = Promise.resolve();

  constructor({ link, host, items, responses, told }: InterrupterOptions) {
    this.#link = link;
    this.#host = host;
    this.#items = items;
    this.#responses = responses;
    this.#told = told;
  }

  /**
   * Ends playback of everything unheard and cuts the items upstream to what was heard. Never rejects: a gateway that no
   * longer answers for the call is ending it.
   */
  interrupt(interruption: Interruption): Promise<void> {
    // The server has cancelled these already: what still comes of them is late.
    if (!interruption.cancel) for (const responseId of interruption.active) this.#items.interrupt(responseId);
    const done = this.#interrupt(interruption).catch(() => {});
    const before = this.#underWay;
    this.#underWay = done.then(() => before);
    return done;
  }

  /** An interrupted response is done: what was never passed on of it, nobody heard. */
  settle(items: readonly ReplyItem[]): void {
    const dropped = items.filter(({ droppedMs }) => droppedMs >= RESOLUTION_MS);
    if (dropped.length === 0) return;
    // After the verdicts that are under way, which may cut these shorter.
    void this.#underWay.then(() => {
      for (const item of dropped)
        if (!item.isCut && !item.isRetold) this.#truncate(item.itemId, item.receivedMs, false);
    });
  }

  /** An `error` event named one of our truncates. Returns whether it was one. */
  rejected(eventId: string, message: string | undefined): boolean {
    const truncate = this.#truncates.get(eventId);
    if (!truncate) return false;
    this.#truncates.delete(eventId);
    const quoted = REAL_LENGTH.exec(message ?? '')?.[1];
    if (quoted !== undefined && !truncate.isRetry) this.#truncate(truncate.itemId, Number(quoted), true);
    return true;
  }

  /** The connection is gone, and with it what it was asked. */
  lost(): void {
    this.#truncates.clear();
  }

  async #interrupt({ startedAtMs, active, cancel }: Interruption): Promise<void> {
    let asked = this.#items.open();
    let verdict = await this.#host.interrupt(asked, startedAtMs);
    if (verdict.isProtected) {
      this.#items.heard(verdict.heard);
      return;
    }
    if (cancel) this.#cancel(active);
    this.#apply(verdict);
    // More may have come in while the gateway decided, of what has been cancelled only now.
    asked = this.#grownSince(asked, verdict, active);
    if (asked.length === 0) return;
    verdict = await this.#host.interrupt(asked, startedAtMs);
    this.#apply(verdict);
  }

  #apply({ cuts, heard }: InterruptVerdict): void {
    for (const { itemId, heardMs } of cuts) {
      const item = this.#items.find(itemId);
      // An interruption that came a moment before may have cut it already.
      if (item && !item.isCut) this.#cut(item, heardMs);
    }
    this.#items.heard(heard);
  }

  #grownSince(asked: readonly OpenItem[], { cuts }: InterruptVerdict, active: ReadonlySet<string>): OpenItem[] {
    const askedMs = new Map(asked.map(({ itemId, receivedMs }) => [itemId, receivedMs]));
    const isCut = new Set(cuts.map(({ itemId }) => itemId));
    return this.#items
      .open()
      .filter(
        ({ itemId, receivedMs }) =>
          receivedMs > (askedMs.get(itemId) ?? 0) &&
          !isCut.has(itemId) &&
          active.has(this.#items.find(itemId)?.responseId ?? ''),
      );
  }

  #cut(item: ReplyItem, heardMs: number): void {
    if (item.isRetold) this.#retell(item, heardMs);
    else if (Math.floor(heardMs) < item.receivedMs + item.droppedMs) {
      this.#truncate(item.itemId, Math.min(heardMs, item.receivedMs), false);
    }
    this.#items.cut(item);
  }

  /** The server knows this item as text, which cannot be truncated: it is told again, as heard. */
  #retell(item: ReplyItem, heardMs: number): void {
    const previous = this.#told.previousOf(item.itemId);
    if (!this.#link.send({ type: 'conversation.item.delete', item_id: item.itemId })) return;
    const text = cutToHeard(item.text, heardMs, item.receivedMs + item.droppedMs);
    if (text === '') return;
    const newItemId = `heard_${++this.#count}_${Date.now().toString(36)}`;
    const event: ConversationItemCreateEvent = {
      type: 'conversation.item.create',
      ...(previous === undefined ? {} : { previous_item_id: previous }),
      item: { type: 'message', id: newItemId, role: 'assistant', content: [{ type: 'output_text', text }] },
    };
    // Before the server names it as the predecessor of others.
    this.#host.event({ type: 'item_renamed', itemId: item.itemId, newItemId });
    this.#link.send(event);
  }

  #truncate(itemId: string, endMs: number, isRetry: boolean): void {
    const audioEndMs = Math.floor(endMs);
    const event: ConversationItemTruncateEvent & { event_id: string } = {
      type: 'conversation.item.truncate',
      event_id: `truncate-${++this.#count}`,
      item_id: itemId,
      content_index: 0,
      audio_end_ms: audioEndMs,
    };
    this.#truncates.set(event.event_id, { itemId, isRetry });
    // Only a refusal is answered by event id.
    if (this.#truncates.size > MAX_REMEMBERED) this.#truncates.delete(this.#truncates.keys().next().value ?? '');
    if (this.#link.send(event)) this.#host.event({ type: 'truncated', itemId, audioEndMs });
  }

  #cancel(active: ReadonlySet<string>): void {
    for (const responseId of active) {
      this.#items.interrupt(responseId);
      this.#responses.cancel(responseId);
    }
  }
}
