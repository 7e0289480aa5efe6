import type { WebSocket } from 'ws';
import { betaNameOf } from './beta-dialect.ts';
import { type EventMutation, EventMutator } from './event-mutations.ts';
import { asPublished, type OutgoingEvent } from './events.ts';
import type { IdSource } from './ids.ts';
import type { SimulatorDialect } from './options.ts';

/** A client that has not read this much is cut off. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;

const AUDIO_DELTA = 'response.output_audio.delta';

/** How often `unknownEvents` strikes. */
const SPRINKLE_EVERY = 4;

/** What `EventChannel` reports as it sends. */
export interface ChannelListener {
  /** @param errorCode of an `error` event: its code or null */
  sent(errorCode?: string | null): void;
  /** Gets each event before mutations change it, if `wantsEvents`. */
  event(event: Record<string, unknown>): void;
  wantsEvents(): boolean;
  /** A mutation has found its event. */
  mutated(mutation: EventMutation, event: Record<string, unknown>): void;
}

/** Where an audio delta belongs. */
export interface DeltaAddress {
  responseId: string;
  itemId: string;
  outputIndex: number;
}

/** The way out of a connection: gives every event its id, in order, and is where sending goes wrong. */
export class EventChannel {
  readonly #socket: WebSocket;
  readonly #ids: IdSource;
  readonly #listener: ChannelListener;
  readonly #isBeta: boolean;
  readonly #isAzure: boolean;
  readonly #deltaType: string;
  readonly #mutator: EventMutator;
  #isStalled = false;
  #delayMs = 0;
  #sprinkles = false;
  #count = 0;
  readonly #held: { dueMs: number; frame: string }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, ids: IdSource, listener: ChannelListener, dialect: SimulatorDialect) {
    this.#socket = socket;
    this.#ids = ids;
    this.#listener = listener;
    this.#isBeta = dialect === 'beta';
    this.#isAzure = dialect === 'azure';
    this.#deltaType = this.#isBeta ? betaNameOf(AUDIO_DELTA)! : AUDIO_DELTA;
    this.#mutator = new EventMutator({
      put: (event) => this.#write(JSON.stringify(event)),
      mutated: (mutation, event) => listener.mutated(mutation, event),
    });
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  stall(): void {
    this.#isStalled = true;
  }

  configure(faults: { eventDelayMs?: number; unknownEvents?: boolean; mutations?: readonly EventMutation[] }): void {
    this.#delayMs = faults.eventDelayMs ?? 0;
    this.#sprinkles = faults.unknownEvents ?? false;
    this.#mutator.configure(faults.mutations);
  }

  get #canSend(): boolean {
    return !this.#isStalled && this.#socket.readyState === this.#socket.OPEN;
  }

  /** @returns whether it was sent */
  send(event: OutgoingEvent): boolean {
    if (!this.#canSend) return false;
    const { type: name, ...rest } = event;
    const type = this.#isBeta ? betaNameOf(name) : name;
    if (type === undefined) return false;
    const whole: Record<string, unknown> = { type, event_id: this.#ids.next('event'), ...rest };
    if (this.#isAzure && 'part' in whole) whole.content = whole.part;
    if (this.#sprinkles) this.#sprinkle(whole);
    this.#mutator.pass(whole);
    this.#listener.sent(event.type === 'error' ? (event.error.code ?? null) : undefined);
    if (this.#listener.wantsEvents()) this.#listener.event(whole);
    return true;
  }

  /** A `response.output_audio.delta`: put together as text, since its audio is the bulk of everything sent. */
  sendAudio({ responseId, itemId, outputIndex }: DeltaAddress, base64: string): void {
    if (!this.#canSend) return;
    const eventId = this.#ids.next('event');
    const isWatched = this.#listener.wantsEvents();
    const event = (this.#mutator.isActive || isWatched) && {
      type: this.#deltaType,
      event_id: eventId,
      response_id: responseId,
      item_id: itemId,
      output_index: outputIndex,
      content_index: 0,
      delta: base64,
    };
    if (event && this.#mutator.isActive) {
      this.#mutator.pass(event);
    } else {
      const head = `{"type":"${this.#deltaType}","event_id":"${eventId}","response_id":"${responseId}","item_id":"${itemId}"`;
      this.#write(`${head},"output_index":${outputIndex},"content_index":0,"delta":"${base64}"}`);
    }
    this.#listener.sent();
    if (event && isWatched) this.#listener.event(event);
  }

  /** An `error` event. */
  sendError(
    error: { code: string | null; message: string; param: string | null },
    clientEventId: string | null,
    type = 'invalid_request_error',
  ): void {
    const { code, message, param } = error;
    this.send(
      asPublished<Extract<OutgoingEvent, { type: 'error' }>>({
        type: 'error',
        error: { type, code, message, param, event_id: clientEventId },
      }),
    );
  }

  #sprinkle(event: Record<string, unknown>): void {
    this.#count += 1;
    if (this.#count % SPRINKLE_EVERY !== 0) return;
    event.x_unknown = { reason: 'the schema grows' };
    // Seen in recorded sessions: the item is there, its predecessor is not.
    if (event.type === 'conversation.item.done') event.previous_item_id = null;
    this.#write(
      JSON.stringify({ type: 'session.unknown_to_you', event_id: this.#ids.next('event'), detail: [1, null] }),
    );
  }

  #write(frame: string): void {
    // A mutation may send an event after the connection has gone.
    if (!this.#canSend) return;
    if (this.#delayMs === 0 && this.#held.length === 0) {
      this.#put(frame);
      return;
    }
    this.#held.push({ dueMs: performance.now() + this.#delayMs, frame });
    this.#timer ??= setTimeout(() => this.#release(), this.#delayMs);
  }

  #release(): void {
    this.#timer = undefined;
    const now = performance.now();
    const due = this.#held.findIndex(({ dueMs }) => dueMs > now);
    for (const { frame } of this.#held.splice(0, due < 0 ? this.#held.length : due)) {
      if (!this.#isStalled) this.#put(frame);
    }
    const next = this.#held[0];
    if (next) this.#timer = setTimeout(() => this.#release(), Math.max(1, next.dueMs - now));
  }

  #put(frame: string): void {
    this.#socket.send(frame);
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES) this.#socket.terminate();
  }

  /** Sends at once what is still held back, as before a close frame. */
  flush(): void {
    this.#mutator.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { frame } of this.#held.splice(0)) if (!this.#isStalled) this.#put(frame);
  }

  close(): void {
    this.#mutator.close();
    clearTimeout(this.#timer);
    this.#held.length = 0;
  }
}
