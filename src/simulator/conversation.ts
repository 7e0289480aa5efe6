import { decodeBase64, encodeBase64 } from '../audio/base64.ts';
import { RequestError } from './errors.ts';
import type { WireItem } from './events.ts';
import { addTokens, assistantAudioTokens, callerAudioTokens, type Tokens, textTokens } from './usage.ts';
import type { Utterance } from './utterance.ts';
import type { AudioPiece } from './voice.ts';

/** One item of a conversation and what the server knows of it beyond the wire. */
export interface Entry {
  item: WireItem;
  /** Assistant audio: milliseconds generated so far, or what a truncation left. */
  audioMs: number;
  /** Assistant audio was truncated: its transcript is gone. */
  truncated: boolean;
  /** The assistant's audio as it was sent; its first {@link audioMs} count. */
  pieces: AudioPiece[];
  /** What the caller said, when the item is speech. */
  utterance?: Utterance;
  /** The silence that an idle timeout committed. */
  isSilence?: boolean;
}

export function entryOf(item: WireItem, more: Partial<Entry> = {}): Entry {
  return { item, audioMs: 0, truncated: false, pieces: [], ...more };
}

/** The text of an item: what was typed, said (as far as it was understood), called or answered. */
export function textOf(entry: Entry): string {
  const { item } = entry;
  if (item.type === 'function_call') return `${item.name} ${item.arguments}`;
  if (item.type === 'function_call_output') return item.output;
  if (item.type !== 'message') return '';
  if (entry.utterance) return entry.utterance.text;
  return item.content
    .map((part) => part.text ?? ('transcript' in part ? part.transcript : null) ?? '')
    .join(' ')
    .trim();
}

/** The item with its audio, as far as that is still there. */
export function withAudio(entry: Entry): WireItem {
  const { item, pieces, audioMs, utterance } = entry;
  if (item.type !== 'message') return item;
  const audio = utterance?.bytes ?? (audioMs > 0 ? assistantAudio(pieces, audioMs) : undefined);
  if (!audio) return item;
  const base64 = encodeBase64(audio);
  if (item.role === 'user') {
    const content = item.content.map((part) => (part.type === 'input_audio' ? { ...part, audio: base64 } : part));
    return { ...item, content };
  }
  if (item.role !== 'assistant') return item;
  return { ...item, content: item.content.map((part) => ({ ...part, audio: base64 })) };
}

function assistantAudio(pieces: readonly AudioPiece[], audioMs: number): Uint8Array {
  const bytes = Buffer.concat(pieces.map(({ base64 }) => decodeBase64(base64)));
  const durationMs = pieces.reduce((sum, piece) => sum + piece.durationMs, 0);
  return bytes.subarray(0, Math.round((bytes.length * audioMs) / durationMs));
}

/** What an item costs as part of a prompt. */
function tokensOf(entry: Entry): Tokens {
  const { utterance } = entry;
  if (utterance) return { text: 0, audio: callerAudioTokens(utterance.durationMs) };
  return { text: textTokens(textOf(entry)), audio: assistantAudioTokens(entry.audioMs) };
}

/** A piece of a prompt that the cache has whole or not at all. */
interface PromptPart {
  readonly key: string;
  readonly tokens: Tokens;
}

/** A prompt beside the conversation does not push that of the conversation out. */
const CACHED_PROMPTS = 4;

/** The same for what is the same to the model: texts by what they say, audio by where it comes from. */
function keyOf(entry: Entry): string {
  const { item, audioMs, utterance } = entry;
  if (utterance || audioMs > 0 || entry.truncated) return `${item.id} ${audioMs}`;
  return `${item.type} ${'role' in item ? item.role : ''} ${textOf(entry)}`;
}

/** The default conversation of a session: an ordered list of items. */
export class Conversation {
  readonly id: string;
  readonly #entries: Entry[] = [];
  /** The prompt cache: prompts made lately, the newest first. */
  readonly #prompts: PromptPart[][] = [];

  constructor(id: string) {
    this.id = id;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get lastId(): string | null {
    return this.#entries.at(-1)?.item.id ?? null;
  }

  /** Whether the assistant was heard in this conversation, which fixes the voice. */
  get hasAssistantAudio(): boolean {
    return this.#entries.some((entry) => entry.audioMs > 0);
  }

  find(itemId: string): Entry | undefined {
    return this.#entries.find((entry) => entry.item.id === itemId);
  }

  hasCall(callId: string): boolean {
    return this.#entries.some(({ item }) => item.type === 'function_call' && item.call_id === callId);
  }

  /**
   * Adds an item at the end, first (`'root'`) or after another.
   * @returns the id of the item before it, or null
   * @throws RequestError when the item before it is unknown or its id is taken
   */
  add(entry: Entry, previousItemId?: string | null): string | null {
    if (this.find(entry.item.id)) {
      const message = `Error adding item: an item with ID '${entry.item.id}' already exists in the conversation.`;
      throw new RequestError('item_create_duplicate_item_id', message, 'item.id');
    }
    const index = this.#indexAfter(previousItemId);
    const previous = this.#entries[index - 1]?.item.id ?? null;
    this.#entries.splice(index, 0, entry);
    return previous;
  }

  #indexAfter(previousItemId: string | null | undefined): number {
    if (previousItemId == null) return this.#entries.length;
    if (previousItemId === 'root') return 0;
    return this.#indexOf(previousItemId, 'adding', 'previous_item_id') + 1;
  }

  #indexOf(itemId: string, doing: string, param: string): number {
    const index = this.#entries.findIndex((entry) => entry.item.id === itemId);
    if (index >= 0) return index;
    const message = `Error ${doing} item: the item with id '${itemId}' does not exist.`;
    throw new RequestError('item_not_found', message, param);
  }

  /** @throws RequestError `item_not_found` */
  retrieve(itemId: string): Entry {
    return this.#entries[this.#indexOf(itemId, 'retrieving', 'item_id')]!;
  }

  /** @throws RequestError `item_not_found` */
  delete(itemId: string): void {
    const index = this.#indexOf(itemId, 'deleting', 'item_id');
    this.#entries.splice(index, 1);
  }

  /**
   * Cuts the assistant's audio of an item to `audioEndMs` and forgets its transcript.
   * @param shortfallMs how much less than `entry.audioMs` the service admits to have generated
   * @throws RequestError for anything but assistant audio, and for a position beyond its end
   */
  truncate(itemId: string, contentIndex: number, audioEndMs: number, shortfallMs: number): void {
    const index = this.#indexOf(itemId, 'truncating', 'item_id');
    const entry = this.#entries[index]!;
    const { item } = entry;
    if (item.type !== 'message' || item.role !== 'assistant' || item.content[0]?.type !== 'output_audio') {
      throw new RequestError('invalid_value', 'Only model output audio messages can be truncated', 'item_id');
    }
    if (contentIndex !== 0) {
      const message = `Invalid content_index ${contentIndex}: the item has ${item.content.length} content part.`;
      throw new RequestError('invalid_value', message, 'content_index');
    }
    const lengthMs = Math.max(0, Math.floor(entry.audioMs) - (entry.truncated ? 0 : shortfallMs));
    if (audioEndMs > lengthMs) {
      const message = `Audio content of ${lengthMs}ms is already shorter than ${audioEndMs}ms`;
      throw new RequestError('invalid_value', message, 'audio_end_ms');
    }
    entry.audioMs = audioEndMs;
    entry.truncated = true;
    item.content[0].transcript = null;
  }

  /**
   * Tokens of a prompt made of `preamble` (instructions and tools) and `entries` (the conversation when left out), and
   * how many of them the cache holds: as many as it has in common, from the first on, with a prompt made lately.
   */
  prompt(preamble: string, entries: readonly Entry[] = this.#entries): { input: Tokens; cached: Tokens } {
    const first = { key: preamble, tokens: { text: textTokens(preamble), audio: 0 } };
    const parts: PromptPart[] = [first, ...entries.map((entry) => ({ key: keyOf(entry), tokens: tokensOf(entry) }))];
    const count = (some: readonly PromptPart[]) =>
      some.map(({ tokens }) => tokens).reduce(addTokens, { text: 0, audio: 0 });
    const known = Math.max(0, ...this.#prompts.map((prompt) => commonParts(prompt, parts)));
    this.#prompts.unshift(parts);
    this.#prompts.length = Math.min(this.#prompts.length, CACHED_PROMPTS);
    return { input: count(parts), cached: count(parts.slice(0, known)) };
  }
}

function commonParts(left: readonly PromptPart[], right: readonly PromptPart[]): number {
  const different = left.findIndex(({ key }, index) => key !== right[index]?.key);
  return different < 0 ? left.length : different;
}
