import type { HandedReply, ReplyAudio, SessionEvent } from '../../upstream/host.ts';

/** Replies that a new worker is told of at most: more than anybody can still be listening to. */
const MAX_REPLIES = 8;

interface Reply {
  text: string;
  audioMs: number;
  isOver: boolean;
}

/**
 * Follows what a session worker tells of its replies, so that nothing of them goes with it if it dies: what was said
 * of a reply that it did not finish, and which replies another worker has to know to be able to cut them.
 */
export class OpenReplies {
  readonly #replies = new Map<string, Reply>();
  #isResponding = false;

  /** Whether the agent had more to say, and nobody has interrupted it. */
  get isCutShort(): boolean {
    return this.#isResponding;
  }

  /** The latest replies, whole or as far as they came, that have not been cut. */
  get handedReplies(): HandedReply[] {
    return [...this.#replies].map(([itemId, { text, audioMs }]) => ({ itemId, text, audioMs }));
  }

  audio(audio: ReplyAudio): void {
    if (audio.kind !== 'delta') return;
    const reply = this.#replies.get(audio.itemId) ?? { text: '', audioMs: 0, isOver: false };
    this.#replies.set(audio.itemId, reply);
    reply.text += audio.text ?? '';
    reply.audioMs += audio.audioMs;
    if (this.#replies.size > MAX_REPLIES) this.#replies.delete(this.#replies.keys().next().value ?? '');
  }

  event(event: SessionEvent): void {
    switch (event.type) {
      case 'assistant_text': {
        const reply = this.#replies.get(event.itemId);
        if (reply) Object.assign(reply, { text: event.text, audioMs: event.audioMs, isOver: true });
        break;
      }
      case 'truncated':
      case 'item_renamed':
        this.#replies.delete(event.itemId);
        break;
      case 'response_started':
        this.#isResponding = true;
        break;
      // Whoever speaks does not wait for the rest; what a new connection does not ask for anew is not missing.
      case 'speech_started':
      case 'response_done':
      case 'upstream_restored':
      case 'rotated':
        this.#isResponding = false;
        break;
    }
  }

  /** The worker is gone. Returns the replies that it did not finish, each once. */
  finish(): HandedReply[] {
    const unfinished: HandedReply[] = [];
    for (const [itemId, reply] of this.#replies) {
      if (reply.isOver) continue;
      reply.isOver = true;
      unfinished.push({ itemId, text: reply.text, audioMs: reply.audioMs });
    }
    return unfinished;
  }
}
