import type { UnusableReason } from '../upstream/host.ts';
import type { Tokens, Usage } from '../upstream/usage.ts';
import { responseUsage, transcriptionUsage } from './usage.ts';

/** Ids are a few dozen characters; the service itself allows 512 for those that a client chooses. */
const MAX_ID_LENGTH = 512;
/** Far more than anybody says in one turn. */
const MAX_TEXT_LENGTH = 100_000;
const MAX_MESSAGE_LENGTH = 1_000;
/** The items of a response that are looked at. */
const MAX_OUTPUT_ITEMS = 100;

/** A function that a response called. */
export interface IncomingToolCall {
  readonly toolCallId: string;
  /** Empty where the server named none. */
  readonly name: string;
  /** JSON as the model wrote it; `null` where the server sent none, which no tool takes. */
  readonly arguments: string;
}

/** An item of the conversation, as far as it is made use of. */
export interface IncomingItem {
  readonly id: string | undefined;
  readonly type: string;
  readonly role: string | undefined;
  readonly status: string | undefined;
  /** A remark before the model calls a function or goes on. */
  readonly isComment: boolean;
  readonly hasAudio: boolean;
  /** It has words that are not spoken. */
  readonly hasText: boolean;
  /** What it calls, where it is a function call that can be answered. */
  readonly call: IncomingToolCall | undefined;
}

export interface IncomingResponse {
  readonly id: string | undefined;
  readonly status: string | undefined;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly output: readonly IncomingItem[];
  readonly tokens: Tokens | undefined;
  /** Why it was not completed. */
  readonly reason: string | undefined;
  readonly message: string | undefined;
}

export interface IncomingError {
  readonly type: string | undefined;
  readonly code: string | undefined;
  readonly message: string;
  /** The event of ours that it is about. */
  readonly eventId: string | undefined;
  /** The field that it is about. */
  readonly param: string | undefined;
}

interface OfItem {
  readonly itemId: string;
}
interface OfReply extends OfItem {
  /** Absent where the server did not say. */
  readonly responseId: string | undefined;
}

/** What the handlers of server events are given: every field is what its type says. */
export interface IncomingEvents {
  'input_audio_buffer.speech_started': OfItem;
  'input_audio_buffer.speech_stopped': OfItem;
  'input_audio_buffer.committed': OfItem & { readonly previousItemId: string | null };
  'conversation.item.added': { readonly item: IncomingItem; readonly previousItemId: string | null };
  'conversation.item.input_audio_transcription.completed': OfItem & {
    readonly transcript: string | null;
    readonly usage: Usage | undefined;
  };
  'conversation.item.input_audio_transcription.failed': OfItem;
  'response.created': { readonly response: IncomingResponse };
  'response.output_item.added': { readonly itemId: string; readonly responseId: string | undefined };
  'response.output_audio.delta': OfReply & { readonly base64: string };
  'response.output_audio.done': OfReply;
  'response.output_audio_transcript.delta': OfReply & { readonly text: string };
  /** `text` undefined: what came in pieces is all there is. */
  'response.output_audio_transcript.done': OfReply & { readonly text: string | undefined };
  'response.output_item.done': { readonly item: IncomingItem; readonly responseId: string | undefined };
  'response.done': { readonly response: IncomingResponse };
  error: { readonly error: IncomingError };
}

/** A handler for every type of event that is made use of. Others are ignored: servers add them at any time. */
export type IncomingHandlers = { readonly [T in keyof IncomingEvents]: (event: IncomingEvents[T]) => void };

/** An event as it was parsed: nothing is known of it but that it has a type. */
export interface RawEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Stands for a frame that is no event. */
export const NO_EVENT: RawEvent = { type: '' };

/** Events that had other names in the beta of the API, and are not read by these. */
export const BETA_NAMES: ReadonlySet<string> = new Set([
  'response.audio.delta',
  'response.audio.done',
  'response.audio_transcript.delta',
  'response.audio_transcript.done',
  'response.text.delta',
  'response.text.done',
  'conversation.item.created',
]);

/** Told why (part of) an event cannot be used. */
type Flag = (reason: UnusableReason) => void;
type Readers = { readonly [T in keyof IncomingEvents]: (event: RawEvent, flag: Flag) => IncomingEvents[T] | undefined };

/**
 * The one place where what the server sends is checked: behind it every id is an id, every text a text and every number
 * one that can be counted. What cannot be repaired is dropped, and what was dropped or repaired is told by its reason.
 */
export class Incoming {
  readonly #handlers: IncomingHandlers;
  readonly #onUnusable: (reason: UnusableReason, eventType: string, error?: Error) => void;
  readonly #onBetaName: (eventType: string) => void;
  #lastId: unknown;
  #idBeforeLast: unknown;
  #lastType = '';

  constructor(
    handlers: IncomingHandlers,
    onUnusable: (reason: UnusableReason, eventType: string, error?: Error) => void,
    onBetaName: (eventType: string) => void = () => {},
  ) {
    this.#handlers = handlers;
    this.#onUnusable = onUnusable;
    this.#onBetaName = onBetaName;
  }

  accept(event: RawEvent): void {
    const { type } = event;
    if (!Object.hasOwn(READERS, type)) {
      if (event === NO_EVENT) this.#onUnusable('not_json', 'unknown');
      else if (BETA_NAMES.has(type)) this.#onBetaName(type);
      return;
    }
    if (this.#isRepeat(event)) {
      this.#onUnusable('repeat', type);
      return;
    }
    const known = type as keyof IncomingEvents;
    const read = READERS[known] as (event: RawEvent, flag: Flag) => object | undefined;
    try {
      const incoming = read(event, (reason) => this.#onUnusable(reason, type));
      if (incoming) (this.#handlers[known] as (incoming: object) => void)(incoming);
    } catch (error) {
      // A defect of ours, which is worth a count and a line, not the call.
      this.#onUnusable('internal', type, error as Error);
    }
  }

  /** Whether it is the event before once more. A server that gives all its events one id repeats none. */
  #isRepeat({ event_id: id, type }: RawEvent): boolean {
    const isRepeat = isId(id) && id === this.#lastId && id !== this.#idBeforeLast && type === this.#lastType;
    if (isRepeat) return true;
    this.#idBeforeLast = this.#lastId;
    this.#lastId = id;
    this.#lastType = type;
    return false;
  }
}

const READERS: Readers = {
  'input_audio_buffer.speech_started': ofItem,
  'input_audio_buffer.speech_stopped': ofItem,
  'input_audio_buffer.committed': (event, flag) => {
    const itemId = readId(event['item_id'], flag);
    return itemId === undefined ? undefined : { itemId, previousItemId: idOrNull(event['previous_item_id']) };
  },
  'conversation.item.added': (event, flag) => {
    const item = itemOf(event['item'], flag);
    return item && { item, previousItemId: idOrNull(event['previous_item_id']) };
  },
  'conversation.item.input_audio_transcription.completed': (event, flag) => {
    const itemId = readId(event['item_id'], flag);
    if (itemId === undefined) return undefined;
    return {
      itemId,
      transcript: textOf(event['transcript'], flag)?.trim() ?? null,
      usage: transcriptionUsage(event['usage'], () => flag('tokens')),
    };
  },
  'conversation.item.input_audio_transcription.failed': ofItem,
  'response.created': (event, flag) => {
    const response = responseOf(event['response'], flag);
    // One without a name begins with the first event that names it.
    if (response.id === undefined) return undefined;
    return { response };
  },
  'response.output_item.added': (event, flag) => {
    const { id } = record(event['item']);
    const itemId = readId(id, flag);
    return itemId === undefined ? undefined : { itemId, responseId: readId(event['response_id'], flag) };
  },
  'response.output_audio.delta': (event, flag) => {
    const { item_id: itemId, response_id: responseId, delta } = event;
    if (!isId(itemId)) {
      flag('id');
      return undefined;
    }
    if (typeof delta !== 'string' || delta === '') {
      flag('audio');
      return undefined;
    }
    return { itemId, responseId: isId(responseId) ? responseId : readId(responseId, flag), base64: delta };
  },
  'response.output_audio.done': ofReply,
  'response.output_audio_transcript.delta': (event, flag) => {
    const { item_id: itemId, response_id: responseId, delta } = event;
    if (!isId(itemId)) {
      flag('id');
      return undefined;
    }
    if (typeof delta !== 'string') {
      flag('text');
      return undefined;
    }
    return { itemId, responseId: isId(responseId) ? responseId : readId(responseId, flag), text: delta };
  },
  'response.output_audio_transcript.done': (event, flag) => {
    const reply = ofReply(event, flag);
    return reply && { ...reply, text: textOf(event['transcript'], flag) };
  },
  'response.output_item.done': (event, flag) => {
    const item = itemOf(event['item'], flag);
    return item && { item, responseId: readId(event['response_id'], flag) };
  },
  'response.done': (event, flag) => ({ response: responseOf(event['response'], flag) }),
  error: (event) => ({ error: errorOf(event['error']) }),
};

function ofItem(event: RawEvent, flag: Flag): OfItem | undefined {
  const itemId = readId(event['item_id'], flag);
  return itemId === undefined ? undefined : { itemId };
}

function ofReply(event: RawEvent, flag: Flag): OfReply | undefined {
  const itemId = readId(event['item_id'], flag);
  return itemId === undefined ? undefined : { itemId, responseId: readId(event['response_id'], flag) };
}

function itemOf(value: unknown, flag: Flag): IncomingItem | undefined {
  const item = record(value);
  const type = shortText(item['type']);
  if (type === undefined) {
    flag('item');
    return undefined;
  }
  const { content } = item;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [];
  const has = (...types: string[]) => parts.some((part) => types.includes(record(part)['type'] as string));
  return {
    id: readId(item['id'], flag),
    type,
    role: shortText(item['role']),
    status: shortText(item['status']),
    isComment: item['phase'] === 'commentary',
    hasAudio: has('output_audio', 'audio'),
    hasText: has('output_text', 'text'),
    call: type === 'function_call' ? callOf(item, flag) : undefined,
  };
}

function callOf(item: Raw, flag: Flag): IncomingToolCall | undefined {
  const { status, call_id: toolCallId, name, arguments: args } = item;
  // What has only begun has no arguments yet, and what was interrupted may never have them.
  if (status !== 'completed') return undefined;
  if (!isId(toolCallId)) {
    flag('id');
    return undefined;
  }
  if (typeof name !== 'string' || typeof args !== 'string') flag('item');
  return {
    toolCallId,
    name: typeof name === 'string' ? name.toWellFormed().slice(0, MAX_ID_LENGTH) : '',
    arguments: typeof args === 'string' ? args.toWellFormed() : 'null',
  };
}

function responseOf(value: unknown, flag: Flag): IncomingResponse {
  const isThere = typeof value === 'object' && value !== null;
  if (!isThere) flag('response');
  const response = record(value);
  const { output } = response;
  const details = record(response['status_details']);
  const error = record(details['error']);
  const message = shortText(error['message']);
  return {
    id: isThere ? readId(response['id'], flag) : undefined,
    status: shortText(response['status']),
    metadata: record(response['metadata']),
    output: Array.isArray(output) ? output.slice(0, MAX_OUTPUT_ITEMS).flatMap((item) => itemOf(item, flag) ?? []) : [],
    tokens: responseUsage(response['usage'], () => flag('tokens'))?.tokens,
    reason: shortText(error['code']) ?? shortText(details['reason']) ?? shortText(error['type']),
    message,
  };
}

/** Reads the `error` of an `error` event; all of it is optional. */
export function errorOf(value: unknown): IncomingError {
  const { type, code, message, event_id: eventId, param } = record(value);
  return {
    type: shortText(type),
    code: shortText(code),
    message: shortText(message) ?? 'no reason given',
    eventId: isId(eventId) ? eventId : undefined,
    param: shortText(param),
  };
}

// Fields

type Raw = Readonly<Record<string, unknown>>;
const EMPTY: Raw = {};

function record(value: unknown): Raw {
  return typeof value === 'object' && value !== null ? (value as Raw) : EMPTY;
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_ID_LENGTH;
}

function readId(value: unknown, flag: Flag): string | undefined {
  if (isId(value)) return value;
  flag('id');
  return undefined;
}

/** The item that another follows: null for the first, and where it cannot be said. */
function idOrNull(value: unknown): string | null {
  return isId(value) ? value : null;
}

function textOf(value: unknown, flag: Flag): string | undefined {
  if (typeof value !== 'string') {
    flag('text');
    return undefined;
  }
  if (value.length <= MAX_TEXT_LENGTH && value.isWellFormed()) return value;
  flag('text');
  return value.slice(0, MAX_TEXT_LENGTH).toWellFormed();
}

/** A word or a sentence for people and logs; empty is as good as absent. */
function shortText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, MAX_MESSAGE_LENGTH).toWellFormed() : undefined;
}
