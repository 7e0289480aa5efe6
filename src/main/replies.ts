import { assistantLine, type Conversation, cutToHeard } from '../realtime/conversation.ts';
import type { PlaybackLedger } from './playback-ledger.ts';

interface Reply {
  text: string | undefined;
  /** Set when it was interrupted. */
  cut: { heardMs: number; receivedMs: number } | undefined;
  isFinal: boolean;
}

/**
 * Decides what of each reply belongs into the transcript, and when it is certain: once its last audio was delivered,
 * or once it was cut, to what was heard.
 */
export class Replies {
  readonly #replies = new Map<string, Reply>();
  readonly #conversation: Conversation;
  readonly #ledger: PlaybackLedger;
  readonly #onLine: (line: string) => void;

  constructor(conversation: Conversation, ledger: PlaybackLedger, onLine: (line: string) => void) {
    this.#conversation = conversation;
    this.#ledger = ledger;
    this.#onLine = onLine;
  }

  /** The whole text of an item is known. */
  setText(itemId: string, text: string): void {
    const reply = this.#reply(itemId);
    reply.text = text;
    // Until it is known how much was heard, all of it stands.
    if (!reply.isFinal) this.#conversation.setText(itemId, 'assistant', text);
    this.settle(itemId);
  }

  /** The item was interrupted. */
  cut(itemId: string, heardMs: number): void {
    const reply = this.#reply(itemId);
    if (reply.isFinal || reply.cut) return;
    reply.cut = { heardMs, receivedMs: this.#ledger.playback(itemId, 0).receivedMs };
    this.settle(itemId);
  }

  /** Something about the item changed: closes it if nothing is open. */
  settle(itemId: string): void {
    const reply = this.#replies.get(itemId);
    if (!reply || reply.isFinal || reply.text === undefined) return;
    if (reply.cut) this.#finish(itemId, reply, cutToHeard(reply.text, reply.cut.heardMs, reply.cut.receivedMs));
    else if (this.#ledger.isDelivered(itemId)) this.#finish(itemId, reply, reply.text);
  }

  /** The call is over: what was not heard by now never will be. */
  settleAll(nowMs: number): void {
    for (const [itemId, reply] of this.#replies) {
      if (reply.isFinal) continue;
      const { heardMs, receivedMs } = this.#ledger.playback(itemId, nowMs);
      reply.text ??= '';
      reply.cut ??= { heardMs, receivedMs };
      this.settle(itemId);
    }
  }

  #finish(itemId: string, reply: Reply, heard: string): void {
    reply.isFinal = true;
    this.#conversation.setText(itemId, 'assistant', heard);
    if (heard !== '') this.#onLine(assistantLine(heard));
  }

  #reply(itemId: string): Reply {
    let reply = this.#replies.get(itemId);
    if (!reply) {
      reply = { text: undefined, cut: undefined, isFinal: false };
      this.#replies.set(itemId, reply);
    }
    return reply;
  }
}
