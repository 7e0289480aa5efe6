/** One entry of a conversation to be told to a new session, in order. */
export type ReplayItem =
  | { readonly kind: 'message'; readonly itemId: string; readonly role: 'user' | 'assistant'; readonly text: string }
  | {
      readonly kind: 'tool';
      readonly itemId: string;
      readonly toolCallId: string;
      readonly name: string;
      readonly arguments: string;
      /** Absent while the tool runs. */
      readonly output?: string;
    };

/** Whether a conversation ends with something that waits for an answer. */
export function isUnanswered(items: readonly ReplayItem[]): boolean {
  const last = items.at(-1);
  return last?.kind === 'message' ? last.role === 'user' : last?.output !== undefined;
}

/** Whether a function was called whose result is still to come. */
export function hasOpenTool(items: readonly ReplayItem[]): boolean {
  return items.some((item) => item.kind === 'tool' && item.output === undefined);
}

export function isAssistantMessage(item: ReplayItem): boolean {
  return item.kind === 'message' && item.role === 'assistant';
}

/** An item as it is kept elsewhere. Plain data. */
export type ConversationItem = Readonly<Item>;

interface Item {
  itemId: string;
  readonly role: 'user' | 'assistant' | 'tool';
  /** undefined: not known yet; null: it could not be transcribed. */
  text: string | null | undefined;
  /** Its words are certain. */
  isSettled?: true;
  tool?: { toolCallId: string; name: string; arguments: string; output?: string };
}

/** What stands in a transcript where the caller spoke but could not be understood. */
export const UNINTELLIGIBLE = '(unintelligible)';

/**
 * The conversation in the order of its items, which is not the order in which their texts arrive: transcriptions come
 * when they come. What the assistant said is what was heard of it.
 */
export class Conversation {
  #items: Item[] = [];
  #byId = new Map<string, Item>();

  /** Adds an item behind `previousItemId`; null or unknown: at the end. A known item is left alone. */
  add(itemId: string, previousItemId: string | null, role: Item['role']): void {
    if (this.#byId.has(itemId)) return;
    const item: Item = { itemId, role, text: undefined };
    const previous = previousItemId === null ? undefined : this.#byId.get(previousItemId);
    const at = previous ? this.#items.indexOf(previous) + 1 : this.#items.length;
    this.#items.splice(at, 0, item);
    this.#byId.set(itemId, item);
  }

  /** All of it, in order. */
  items(): ConversationItem[] {
    return this.#items.map((item) => ({ ...item }));
  }

  /** Takes up a conversation from its items. */
  restore(items: readonly ConversationItem[]): void {
    this.#items = items.map((item) => ({ ...item }));
    this.#byId = new Map(this.#items.map((item) => [item.itemId, item]));
  }

  has(itemId: string): boolean {
    return this.#byId.has(itemId);
  }

  /** Sets what was said; null: it could not be transcribed. Unknown items are added at the end. */
  setText(itemId: string, role: 'user' | 'assistant', text: string | null): void {
    this.add(itemId, null, role);
    this.#byId.get(itemId)!.text = text;
  }

  /** What was said in an item is certain. */
  settle(itemId: string): void {
    const item = this.#byId.get(itemId);
    if (item) item.isSettled = true;
  }

  isSettled(itemId: string): boolean {
    return this.#byId.get(itemId)?.isSettled ?? false;
  }

  /** Turns of the caller whose words are not known yet. */
  untranscribed(): string[] {
    return this.#items.filter(({ role, text }) => role === 'user' && text === undefined).map(({ itemId }) => itemId);
  }

  /** The item goes by another id too from here on; a replay uses the new one. */
  rename(itemId: string, newItemId: string): void {
    const item = this.#byId.get(itemId);
    if (!item) return;
    item.itemId = newItemId;
    this.#byId.set(newItemId, item);
  }

  /** Removes an item, as the server does with a turn that is to be forgotten. */
  remove(itemId: string): void {
    const item = this.#byId.get(itemId);
    if (!item) return;
    this.#byId.delete(itemId);
    this.#items.splice(this.#items.indexOf(item), 1);
  }

  setToolCall(itemId: string, toolCallId: string, name: string, args: string): void {
    this.add(itemId, null, 'tool');
    this.#byId.get(itemId)!.tool = { toolCallId, name, arguments: args };
  }

  setToolOutput(toolCallId: string, output: string): void {
    const item = this.#items.find(({ tool }) => tool?.toolCallId === toolCallId);
    if (item?.tool) item.tool.output = output;
  }

  /** `[User]: …` and `[AI]: …`, in order. Items without words are left out, save turns that failed to transcribe. */
  lines(): string[] {
    const lines: string[] = [];
    for (const { role, text } of this.#items) {
      if (role === 'user' && (text === null || text)) lines.push(userLine(text));
      if (role === 'assistant' && text) lines.push(assistantLine(text));
    }
    return lines;
  }

  /** What a new session is to be told so that the conversation goes on. */
  replay(): ReplayItem[] {
    const replay: ReplayItem[] = [];
    for (const { itemId, role, text, tool } of this.#items) {
      if (tool) replay.push({ kind: 'tool', itemId, ...tool });
      // Words that were recognised as none were noise; words that are not known were words.
      else if (role === 'user' && text !== '')
        replay.push({ kind: 'message', itemId, role, text: text ?? UNINTELLIGIBLE });
      else if (role === 'assistant' && text) replay.push({ kind: 'message', itemId, role, text });
    }
    return replay;
  }
}

export function userLine(text: string | null): string {
  return `[User]: ${text ?? UNINTELLIGIBLE}`;
}

export function assistantLine(text: string): string {
  return `[AI]: ${text}`;
}

/** A character of a script that puts no blanks between words. */
const UNSPACED =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/**
 * The part of a reply's text that was heard, cut in proportion, after the last word that was heard whole; after the last
 * character where words are not set apart. Speech has an even pace, so the error is a word or so.
 */
export function cutToHeard(text: string, heardMs: number, totalMs: number): string {
  if (heardMs <= 0 || totalMs <= 0) return '';
  if (heardMs >= totalMs) return text;
  for (let at = Math.floor((text.length * heardMs) / totalMs); at > 0; at--) {
    const heard = text.slice(0, at);
    if (/\s/.test(text[at] ?? '') || UNSPACED.test(lastCharacter(heard))) return heard.trimEnd();
  }
  return '';
}

function lastCharacter(text: string): string {
  return text.slice(/[\uDC00-\uDFFF]$/.test(text) ? -2 : -1);
}
