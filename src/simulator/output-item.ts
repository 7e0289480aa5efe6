import { type Entry, entryOf } from './conversation.ts';
import type { Core } from './core.ts';
import { publishedItem, type WireItem } from './events.ts';
import { obfuscation } from './ids.ts';
import type { PlannedItem } from './reply.ts';
import type { AudioPiece } from './voice.ts';

type Status = 'completed' | 'incomplete';

/** Where an item stands: its response, its place in it, and whether the conversation takes it in. */
export interface ItemPlace {
  responseId: string;
  outputIndex: number;
  inConversation: boolean;
}

/** An item of a response while it is generated: emits the item's events, from `added` to `done`. */
export class OutputItem {
  readonly entry: Entry;
  readonly #core: Core;
  readonly #place: ItemPlace;
  readonly #kind: 'audio' | 'text' | 'function_call';
  readonly #isStream: boolean;
  #previousId: string | null = null;
  #text = '';
  #isOpen = true;
  #callId = '';
  #name = '';

  constructor(core: Core, place: ItemPlace, planned: PlannedItem) {
    this.#core = core;
    this.#place = place;
    this.#isStream = planned.kind === 'stream';
    const id = core.ids.next('item');
    if (planned.kind === 'function_call') {
      this.#kind = 'function_call';
      this.#callId = core.ids.nextCall();
      this.#name = planned.name;
      this.entry = entryOf({
        id,
        type: 'function_call',
        status: 'in_progress',
        name: planned.name,
        arguments: '',
        call_id: this.#callId,
      });
    } else {
      this.#kind = planned.kind === 'text' ? 'text' : 'audio';
      const phase = 'phase' in planned && planned.phase ? { phase: planned.phase } : {};
      this.entry = entryOf({ id, type: 'message', status: 'in_progress', role: 'assistant', content: [], ...phase });
    }
    this.#begin();
  }

  get wire(): WireItem {
    return this.entry.item;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isFunctionCall(): boolean {
    return this.#kind === 'function_call';
  }

  /** Text, transcript or arguments so far. */
  get text(): string {
    return this.#text;
  }

  get #at() {
    return { response_id: this.#place.responseId, output_index: this.#place.outputIndex };
  }

  get #in() {
    return { response_id: this.#place.responseId, item_id: this.wire.id, output_index: this.#place.outputIndex };
  }

  #begin(): void {
    const { channel, conversation } = this.#core;
    channel.send({ type: 'response.output_item.added', ...this.#at, item: publishedItem(this.wire) });
    if (this.#place.inConversation) {
      this.#previousId = conversation.add(this.entry);
      const item = publishedItem(this.wire);
      channel.send({ type: 'conversation.item.added', previous_item_id: this.#previousId, item });
    }
    if (this.#kind === 'function_call') return;
    const part =
      this.#kind === 'audio' ? { type: 'audio' as const, transcript: '' } : { type: 'text' as const, text: '' };
    channel.send({ type: 'response.content_part.added', ...this.#in, content_index: 0, part });
    this.#fill();
  }

  /** Writes what there is so far into the item. */
  #fill(): void {
    const { item } = this.entry;
    if (item.type === 'function_call') item.arguments = this.#text;
    else if (item.type === 'message' && item.role === 'assistant') {
      item.content =
        this.#kind === 'text'
          ? [{ type: 'output_text', text: this.#text }]
          : [{ type: 'output_audio', transcript: this.entry.truncated ? null : this.#text }];
    }
  }

  /** More text: of the message, its transcript, or the call's arguments. */
  write(delta: string): void {
    this.#text += delta;
    this.#fill();
    const { channel } = this.#core;
    // The padding is on the wire and not in the types.
    const padding = { obfuscation: obfuscation() };
    if (this.#kind === 'function_call') {
      const type = 'response.function_call_arguments.delta' as const;
      channel.send({ type, ...this.#in, call_id: this.#callId, delta, ...padding });
    } else {
      const type = this.#kind === 'text' ? 'response.output_text.delta' : 'response.output_audio_transcript.delta';
      channel.send({ type, ...this.#in, content_index: 0, delta, ...padding });
    }
  }

  /** More audio. */
  play(piece: AudioPiece): void {
    this.entry.audioMs += piece.durationMs;
    // A stream has no end, so nothing of it is kept.
    if (!this.#isStream) this.entry.pieces.push(piece);
    this.#core.channel.sendAudio(
      { responseId: this.#place.responseId, itemId: this.wire.id, outputIndex: this.#place.outputIndex },
      piece.base64,
    );
  }

  /** The ladder of `done` events. An item that was cut short goes through all of it, with what it had. */
  close(status: Status): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { channel } = this.#core;
    const { item } = this.entry;
    if ('status' in item) item.status = status;
    this.#fill();
    this.#closeContent();
    if (this.#place.inConversation) {
      const done = publishedItem(item);
      channel.send({ type: 'conversation.item.done', previous_item_id: this.#previousId, item: done });
    }
    channel.send({ type: 'response.output_item.done', ...this.#at, item: publishedItem(item) });
  }

  #closeContent(): void {
    const { channel } = this.#core;
    const text = this.#text;
    if (this.#kind === 'function_call') {
      const type = 'response.function_call_arguments.done' as const;
      channel.send({ type, ...this.#in, call_id: this.#callId, name: this.#name, arguments: text });
      return;
    }
    const content = { ...this.#in, content_index: 0 };
    if (this.#kind === 'text') {
      channel.send({ type: 'response.output_text.done', ...content, text });
      channel.send({ type: 'response.content_part.done', ...content, part: { type: 'text', text } });
      return;
    }
    channel.send({ type: 'response.output_audio.done', ...content });
    channel.send({ type: 'response.output_audio_transcript.done', ...content, transcript: text });
    channel.send({ type: 'response.content_part.done', ...content, part: { type: 'audio', transcript: text } });
  }
}
