import type { HandedReply } from '../../upstream/host.ts';
import { oneLine } from '../../upstream/one-line.ts';
import type { Transcript } from '../record/transcript.ts';
import type { Playhead } from './playhead.ts';
import { Reply } from './reply.ts';

/** A millisecond is the resolution of the upstream's own cut. */
const RESOLUTION_MS = 1;

/**
 * The replies of one call that are not over, by their items. Of one that is over the conversation keeps what was heard, and
 * nothing is kept here.
 */
export class Replies {
  readonly #replies = new Map<string, Reply>();
  readonly #transcript: Transcript;
  readonly #playhead: Playhead;

  constructor(transcript: Transcript, playhead: Playhead) {
    this.#transcript = transcript;
    this.#playhead = playhead;
  }

  /** How many there are. */
  get count(): number {
    return this.#replies.size;
  }

  /** The reply of an item, from the first that is told of it. */
  of(itemId: string): Reply {
    return this.#replies.get(itemId) ?? this.#add(new Reply(itemId, { isFinal: this.#transcript.isSaid(itemId) }));
  }

  filler(itemId: string): Reply {
    return this.#replies.get(itemId) ?? this.#add(new Reply(itemId, { isFiller: true }));
  }

  all(): Reply[] {
    return [...this.#replies.values()];
  }

  find(itemId: string): Reply | undefined {
    return this.#replies.get(itemId);
  }

  /**
   * The whole text of an item is known.
   * @param audioMs what all of it takes to say, heard or not
   */
  setWords(itemId: string, text: string, audioMs: number): void {
    // What was said is said: an item that is over is not told anew.
    if (this.#isForgotten(itemId)) return;
    const reply = this.of(itemId);
    if (reply.isFinal) return;
    reply.setWords(text, audioMs);
    this.#transcript.agentSays(itemId, text);
    this.settle(reply);
  }

  /** The item was interrupted when `heardMs` of it had been heard: its line says so, or the conversation at least. */
  cut(itemId: string, heardMs: number): void {
    const reply = this.of(itemId);
    if (reply.isCut) return;
    reply.cut(heardMs);
    if (reply.isFinal) this.#transcript.heard(itemId, reply.wordsSoFar.text, reply.heardWords(heardMs));
    else this.settle(reply);
  }

  /** More is known of a reply: its line goes out if nothing about it is open. */
  settle(reply: Reply): void {
    const words = reply.finalWords();
    if (words !== undefined) this.#transcript.said(reply.itemId, reply.wordsSoFar.text, words);
  }

  /** What the caller has heard of an item by now. */
  heardMs(itemId: string, nowMs: number): number {
    const reply = this.#replies.get(itemId);
    return reply ? (reply.cutAtMs ?? this.#playhead.heardMs(reply, nowMs)) : 0;
  }

  /** Replies of which the caller has yet to hear something. */
  unheard(nowMs: number): Reply[] {
    return this.all().filter((reply) => this.#hasUnheard(reply, reply.receivedMs, nowMs));
  }

  /** Whether the caller has yet to hear some of an item of which the worker received `receivedMs`. */
  isUnheard(itemId: string, receivedMs: number, nowMs: number): boolean {
    const reply = this.#replies.get(itemId);
    // The worker counts what came off the socket, some of which may not be here yet.
    if (!reply) return receivedMs > RESOLUTION_MS && !this.#isForgotten(itemId);
    return this.#hasUnheard(reply, receivedMs, nowMs);
  }

  #hasUnheard(reply: Reply, receivedMs: number, nowMs: number): boolean {
    return !reply.isCut && this.#playhead.heardMs(reply, nowMs) < receivedMs - RESOLUTION_MS;
  }

  /** Those that another session of the call has to know to be able to cut them. */
  get handed(): HandedReply[] {
    return this.all()
      .filter((reply) => reply.hasAudio && !reply.isSettledUpstream)
      .map((reply) => ({ itemId: reply.itemId, ...reply.wordsSoFar }));
  }

  /** The worker is gone: what it did not finish ends where it is. */
  abandon(): void {
    for (const reply of this.#replies.values()) {
      if (reply.isFiller || reply.hasWords) continue;
      const { text, audioMs } = reply.wordsSoFar;
      if (reply.hasAudio) this.setWords(reply.itemId, oneLine(text), audioMs);
      else this.#replies.delete(reply.itemId);
    }
  }

  /** The call is over: what was not heard by now never will be. */
  settleAll(nowMs: number): void {
    for (const reply of this.#replies.values()) {
      if (!reply.isFinal && reply.hasWords) this.cut(reply.itemId, this.heardMs(reply.itemId, nowMs));
    }
  }

  /** Lets go of what is over. */
  forget(nowMs: number): void {
    this.#playhead.settle(nowMs);
    for (const [itemId, reply] of this.#replies) if (reply.isOver) this.#replies.delete(itemId);
  }

  clear(): void {
    this.#replies.clear();
  }

  /** Whether an item was said, as far as it was, and is over. */
  #isForgotten(itemId: string): boolean {
    return !this.#replies.has(itemId) && this.#transcript.isSaid(itemId);
  }

  #add(reply: Reply): Reply {
    this.#replies.set(reply.itemId, reply);
    return reply;
  }
}
