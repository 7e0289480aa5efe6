import type { ClientEvent } from './events.ts';

/** A client event as a connection remembers it. Audio is left out; appends in a row are one entry with their count. */
export interface ReceivedEvent {
  type: string;
  event: ClientEvent;
  count: number;
}

/** What a connection received, for whoever watches it: the last `limit` events, and all audio if that is wanted. */
export class ClientLog {
  readonly #limit: number;
  #events: ReceivedEvent[] = [];
  readonly #audio: Uint8Array[] | undefined;

  constructor(options: { limit: number; captureAudio: boolean }) {
    this.#limit = options.limit;
    this.#audio = options.captureAudio ? [] : undefined;
  }

  get events(): readonly ReceivedEvent[] {
    return this.#events;
  }

  add(event: ClientEvent): void {
    const last = this.#events.at(-1);
    if (event.type === 'input_audio_buffer.append') {
      if (last?.type === event.type) last.count += 1;
      else this.#events.push({ type: event.type, event: { type: event.type }, count: 1 });
    } else {
      this.#events.push({ type: event.type, event, count: 1 });
    }
    // Cut in halves, so that a long call does not pay for every event.
    if (this.#events.length > 2 * this.#limit) this.#events = this.#events.slice(-this.#limit);
  }

  addAudio(bytes: Uint8Array): void {
    this.#audio?.push(bytes);
  }

  /** All audio received, in the encoding it came in. @throws Error when the simulator was not told to capture it */
  audio(): Uint8Array {
    if (!this.#audio) throw new Error('audio is only kept by a simulator with captureAudio: true');
    return Buffer.concat(this.#audio);
  }
}
