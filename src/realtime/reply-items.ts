import type { ConversationHost, HandedReply, OpenItem } from '../upstream/host.ts';

/** One message of the assistant, as far as it came. Milliseconds are of its audio. */
export interface ReplyItem {
  readonly itemId: string;
  readonly responseId: string;
  /** The profile says that it is not to be interrupted. */
  readonly isProtected: boolean;
  /** Audio that was passed on. */
  receivedMs: number;
  /** Audio that came when nobody was to hear it any more. */
  droppedMs: number;
  text: string;
  /** Characters of the text that were passed on with the audio. */
  passedLength: number;
  audioEnded: boolean;
  textEnded: boolean;
  /** Its text was passed on: nothing more comes. */
  isReported: boolean;
  /** The caller interrupted it. */
  isCut: boolean;
  /** The connection it came on is gone; the present one was told its text. */
  isRetold: boolean;
}

/** Far more than anybody says at a stretch. */
const MAX_TEXT_LENGTH = 100_000;

/** Interrupted responses of which something may still come: the server works on one, or on a few, at a time. */
const MAX_INTERRUPTED = 32;

/** Stands for the responses of an earlier session. */
const HANDED_OVER = 'handed_over';

/**
 * The reply items of a session, by id: a response may have two of them, and the end of the first may come after the
 * beginning of the second.
 */
export class ReplyItems {
  readonly #host: Pick<ConversationHost, 'audio' | 'event'>;
  readonly #bytesPerMs: number;
  readonly #nowMs: () => number;
  readonly #items = new Map<string, ReplyItem>();
  /** Responses whose further audio nobody is to hear. */
  readonly #interrupted = new Set<string>();

  constructor(host: Pick<ConversationHost, 'audio' | 'event'>, bytesPerMs: number, nowMs: () => number) {
    this.#host = host;
    this.#bytesPerMs = bytesPerMs;
    this.#nowMs = nowMs;
  }

  /** Replies of an earlier session, which the present connection was told as text. */
  takeOver(replies: readonly HandedReply[]): void {
    for (const { itemId, text, audioMs } of replies) {
      const ended = { audioEnded: true, textEnded: true, isReported: true, isRetold: true };
      Object.assign(this.get(itemId, HANDED_OVER), { text, receivedMs: audioMs, ...ended });
    }
  }

  /** The item's record, made at its first event. */
  get(itemId: string, responseId: string, isProtected = false): ReplyItem {
    let item = this.#items.get(itemId);
    if (!item) {
      item = {
        itemId,
        responseId,
        isProtected,
        receivedMs: 0,
        droppedMs: 0,
        text: '',
        passedLength: 0,
        audioEnded: false,
        textEnded: false,
        isReported: false,
        isCut: false,
        isRetold: false,
      };
      this.#items.set(itemId, item);
    }
    return item;
  }

  find(itemId: string): ReplyItem | undefined {
    return this.#items.get(itemId);
  }

  // What comes

  /** Audio came, which is passed on unless its response was interrupted. */
  audio(item: ReplyItem, base64: string): void {
    const audioMs = base64Bytes(base64) / this.#bytesPerMs;
    if (item.isCut || this.#interrupted.has(item.responseId)) {
      item.droppedMs += audioMs;
      return;
    }
    item.receivedMs += audioMs;
    const { itemId } = item;
    const text = item.text.slice(item.passedLength);
    item.passedLength = item.text.length;
    const added = text === '' ? {} : { text };
    this.#host.audio({ kind: 'delta', itemId, base64, audioMs, ...added, receivedAtMs: this.#nowMs() });
  }

  endAudio(item: ReplyItem): void {
    if (item.audioEnded) return;
    item.audioEnded = true;
    this.#host.audio({ kind: 'end', itemId: item.itemId });
    this.#report(item);
  }

  /** More of its text came. What comes behind the end of it is late. */
  addText(item: ReplyItem, text: string): void {
    if (!item.textEnded && item.text.length < MAX_TEXT_LENGTH) item.text += text;
  }

  /** @param text all of it; absent: what came in pieces */
  endText(item: ReplyItem, text = item.text): void {
    if (item.textEnded) return;
    item.text = text.toWellFormed();
    item.textEnded = true;
    this.#report(item);
  }

  /** Nothing more comes of these items. */
  finish(items: Iterable<ReplyItem>): void {
    for (const item of items) {
      this.endAudio(item);
      this.endText(item);
    }
  }

  /** The text is passed on with the length of the audio it goes with, so not before that is known. */
  #report(item: ReplyItem): void {
    if (item.isReported || !item.audioEnded || !item.textEnded) return;
    item.isReported = true;
    const { itemId, text, receivedMs, droppedMs } = item;
    this.#host.event({ type: 'assistant_text', itemId, text, audioMs: receivedMs + droppedMs });
    this.#forgetIfOver(item);
  }

  // What is asked

  /** Items with audio that the caller may not have heard to the end. */
  open(): OpenItem[] {
    const open: OpenItem[] = [];
    for (const { itemId, receivedMs, isProtected, isCut } of this.#items.values()) {
      if (receivedMs > 0 && !isCut) open.push({ itemId, receivedMs, isProtected });
    }
    return open;
  }

  ofResponse(responseId: string): ReplyItem[] {
    return [...this.#items.values()].filter((item) => item.responseId === responseId);
  }

  /** Items that are still being received. */
  unfinished(): ReplyItem[] {
    return [...this.#items.values()].filter((item) => !item.isReported);
  }

  // What becomes of them

  /** What still comes of a response is not passed on. */
  interrupt(responseId: string): void {
    this.#interrupted.add(responseId);
    if (this.#interrupted.size > MAX_INTERRUPTED) this.#interrupted.delete(this.#interrupted.keys().next().value ?? '');
  }

  isInterrupted(responseId: string): boolean {
    return this.#interrupted.has(responseId);
  }

  /** The caller heard no more of the item than it did when it was asked about. */
  cut(item: ReplyItem): void {
    item.isCut = true;
    this.interrupt(item.responseId);
    this.#forgetIfOver(item);
  }

  /** Of what was passed on only `keptMs` will be heard. */
  shorten(item: ReplyItem, keptMs: number): void {
    const lostMs = Math.max(0, item.receivedMs - keptMs);
    item.receivedMs -= lostMs;
    item.droppedMs += lostMs;
  }

  /** These were heard to their end, as far as that has come. */
  heard(itemIds: Iterable<string>): void {
    for (const itemId of itemIds) {
      const item = this.#items.get(itemId);
      if (item?.isReported) this.#items.delete(itemId);
    }
  }

  /** The connection is gone: the next one will know these items as text, if at all. */
  retold(): void {
    for (const item of this.#items.values()) item.isRetold = true;
    this.#interrupted.clear();
  }

  /** What has no audio is heard by nobody; the rest is, or is cut, when the gateway says so. */
  #forgetIfOver({ itemId, isReported, isCut, receivedMs }: ReplyItem): void {
    if (isReported && (isCut || receivedMs === 0)) this.#items.delete(itemId);
  }
}

/** Bytes that padded base64 stands for. */
export function base64Bytes(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return Math.max(0, (base64.length / 4) * 3 - padding);
}
