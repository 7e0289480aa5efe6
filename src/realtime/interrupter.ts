import type { ConversationItemTruncateEvent, RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import type { OpenItem, RealtimeHost } from './host.ts';
import type { ReplyItems } from './reply-items.ts';

/** How the server quotes an item's real length when it was asked to keep more. */
const REAL_LENGTH = /audio content of (\d+) ?ms is already shorter/i;

/** Stops the reply when the caller speaks: playback here, memory upstream. */
export class Interrupter {
  #host: RealtimeHost;
  #items: ReplyItems;
  #send: (event: RealtimeClientEvent) => boolean;
  #truncates = new Map<string, { itemId: string; isRetry: boolean }>();
  #count = 0;

  constructor(host: RealtimeHost, items: ReplyItems, send: (event: RealtimeClientEvent) => boolean) {
    this.#host = host;
    this.#items = items;
    this.#send = send;
  }

  /**
   * Ends playback of everything unheard and cuts the items upstream to what was heard.
   * @param active responses that run; with `cancel` they are cancelled, if anything was cut at all
   * @returns whether there was something to interrupt
   */
  async interrupt(startedAtMs: number, active: ReadonlySet<string>, cancel: boolean): Promise<boolean> {
    let interrupted = false;
    // More of an interrupted response may have come in while the verdict was under way: ask again about that.
    for (let open = this.#items.open(); open.length > 0; open = this.#arrivedSince(active, interrupted)) {
      const { cuts, heard } = await this.#host.interrupt(open, startedAtMs);
      this.#items.forget(heard);
      if (cuts.length === 0) break;
      if (!interrupted && cancel) this.#cancel(active);
      interrupted = true;
      for (const { itemId, heardMs } of cuts) this.#cut(itemId, heardMs);
      for (const responseId of active) this.#items.interrupt(responseId);
    }
    return interrupted;
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

  #arrivedSince(active: ReadonlySet<string>, interrupted: boolean): OpenItem[] {
    if (!interrupted) return [];
    return this.#items.open().filter(({ itemId }) => active.has(this.#items.find(itemId)?.responseId ?? ''));
  }

  #cut(itemId: string, heardMs: number): void {
    const item = this.#items.find(itemId);
    if (!item) return;
    this.#items.interrupt(item.responseId);
    const audioEndMs = Math.floor(Math.min(heardMs, item.receivedMs));
    if (audioEndMs < item.receivedMs) this.#truncate(itemId, audioEndMs, false);
  }

  #truncate(itemId: string, audioEndMs: number, isRetry: boolean): void {
    const event: ConversationItemTruncateEvent & { event_id: string } = {
      type: 'conversation.item.truncate',
      event_id: `truncate-${++this.#count}`,
      item_id: itemId,
      content_index: 0,
      audio_end_ms: audioEndMs,
    };
    this.#truncates.set(event.event_id, { itemId, isRetry });
    // Only a refusal is answered by event id; the last few are enough to recognise one.
    if (this.#truncates.size > 32) this.#truncates.delete(this.#truncates.keys().next().value ?? '');
    if (this.#send(event)) this.#host.event({ type: 'truncated', itemId, audioEndMs });
  }

  #cancel(active: ReadonlySet<string>): void {
    for (const responseId of active) this.#send({ type: 'response.cancel', response_id: responseId });
  }
}
