import { assistantLine, type Conversation, cutToHeard } from '../../upstream/conversation.ts';
import type { TranscriptLines } from '../record/lines.ts';
import type { PlaybackLedger } from './playback-ledger.ts';

/** Audio may get shorter by this much on its way through resampling and framing. */
const TOLERANCE_MS = 20;

interface Reply {
  text: string | undefined;
  /** What all of the text takes to say. */
  audioMs: number;
  /** How much was heard, once it was interrupted. */
  heardMs: number | undefined;
  /** Its line is out. */
  isFinal: boolean;
}

/**
 * Decides what of each reply belongs into the transcript, and when it is certain: once its last audio was delivered,
 * or once it was cut, to what was heard. A reply that is cut after its line went out is cut in the conversation still,
 * which is what the summary and the model are told.
 */
export class Replies {
  readonly #replies = new Map<string, Reply>();
  readonly #conversation: Conversation;
  readonly #ledger: PlaybackLedger;
  readonly #lines: TranscriptLines;
  readonly #onLine: (line: string) => void;

  constructor(
    conversation: Conversation,
    ledger: PlaybackLedger,
    lines: TranscriptLines,
    onLine: (line: string) => void,
  ) {
    this.#conversation = conversation;
    this.#ledger = ledger;
    this.#lines = lines;
    this.#onLine = onLine;
  }

  /**
   * The whole text of an item is known.
   * @param audioMs what all of it takes to say, heard or not
   */
  setText(itemId: string, text: string, audioMs: number): void {
    const reply = this.#reply(itemId);
    if (reply.isFinal) return;
    reply.text = text;
    reply.audioMs = audioMs;
    // Until it is known how much was heard, all of it stands.
    this.#conversation.setText(itemId, 'assistant', text);
    this.#lines.agentSays(itemId, text);
    this.settle(itemId);
  }

  /** The item was interrupted when `heardMs` of it had been heard. */
  cut(itemId: string, heardMs: number): void {
    const reply = this.#reply(itemId);
    if (reply.heardMs !== undefined) return;
    reply.heardMs = heardMs;
    if (reply.isFinal) this.#heard(itemId, reply, heardMs);
    else this.settle(itemId);
  }

  /** Something about the item changed: its line goes out if nothing is open. */
  settle(itemId: string): void {
    const reply = this.#replies.get(itemId);
    if (!reply || reply.isFinal || reply.text === undefined) return;
    if (reply.heardMs !== undefined) this.#finish(itemId, reply, reply.heardMs);
    else if (this.#ledger.isDelivered(itemId)) {
      // What never became ready for the client, because nobody would have listened to it, was not heard either.
      const { receivedMs } = this.#ledger.playback(itemId, 0);
      this.#finish(itemId, reply, receivedMs < reply.audioMs - TOLERANCE_MS ? receivedMs : reply.audioMs);
    }
  }

  /** The call is over: what was not heard by now never will be. */
  settleAll(nowMs: number): void {
    for (const [itemId, reply] of this.#replies) {
      if (reply.isFinal || reply.text === undefined) continue;
      reply.heardMs ??= this.#ledger.playback(itemId, nowMs).heardMs;
      this.settle(itemId);
    }
  }

  #finish(itemId: string, reply: Reply, heardMs: number): void {
    reply.isFinal = true;
    const heard = this.#heard(itemId, reply, heardMs);
    if (heard !== '') this.#onLine(assistantLine(heard));
  }

  #heard(itemId: string, { text = '', audioMs }: Reply, heardMs: number): string {
    const heard = cutToHeard(text, heardMs, audioMs);
    this.#conversation.setText(itemId, 'assistant', heard);
    this.#lines.heard(itemId, text, heard);
    return heard;
  }

  #reply(itemId: string): Reply {
    let reply = this.#replies.get(itemId);
    if (!reply) {
      reply = { text: undefined, audioMs: 0, heardMs: undefined, isFinal: false };
      this.#replies.set(itemId, reply);
    }
    return reply;
  }
}
