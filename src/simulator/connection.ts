import { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import type { RawData, WebSocket } from 'ws';
import { fromBeta } from './beta-dialect.ts';
import { type ChannelListener, EventChannel } from './channel.ts';
import { ClientLog, type ReceivedEvent } from './client-log.ts';
import { Conversation } from './conversation.ts';
import type { Core } from './core.ts';
import { Dialogue } from './dialogue.ts';
import type { EventMutation } from './event-mutations.ts';
import type { ClientEvent, OutgoingEvent } from './events.ts';
import { FaultTrigger } from './fault-trigger.ts';
import { FaultBudget, type Faults } from './faults.ts';
import { IdSource } from './ids.ts';
import type { Library } from './library.ts';
import type { ResolvedOptions } from './options.ts';
import { Session, type WireSession } from './session.ts';
import type { StatsKeeper } from './stats.ts';
import { Timers } from './timers.ts';

/** How many client events a connection remembers at least. */
const LOG_LIMIT = 2000;

/** The upgrade request of a connection. */
export interface ConnectionRequest {
  headers: IncomingHttpHeaders;
  query: URLSearchParams;
  model: string;
}

interface ConnectionEvents {
  /** A client event has arrived, before anything is done with it. Appends come without their audio. */
  clientEvent: [event: ClientEvent];
  /** A server event was sent; this is what it was before mutations changed it. */
  serverEvent: [event: Record<string, unknown>];
  /** A mutation has found its event, which comes as it was before. */
  mutated: [mutation: EventMutation, event: Record<string, unknown>];
  /** The socket has closed, whoever closed it. */
  close: [code: number, reason: string];
}

/** A client's connection, open to inspection and to mischief. */
export class SimulatorConnection extends EventEmitter<ConnectionEvents> {
  readonly request: ConnectionRequest;
  readonly #socket: WebSocket;
  readonly #options: ResolvedOptions;
  readonly #stats: StatsKeeper;
  readonly #ids = new IdSource();
  readonly #timers = new Timers();
  readonly #log: ClientLog;
  readonly #channel: EventChannel;
  readonly #session: Session;
  readonly #conversation: Conversation;
  readonly #trigger: FaultTrigger;
  readonly #dialogue: Dialogue;
  readonly #startedAtMs = performance.now();
  #faults: Faults;
  #budget = new FaultBudget();
  #stopExpiry: () => void = () => {};

  constructor(
    socket: WebSocket,
    request: ConnectionRequest,
    context: { options: ResolvedOptions; library: Library; stats: StatsKeeper; faults: Faults },
  ) {
    super();
    const { options, library, stats, faults } = context;
    this.request = request;
    this.#socket = socket;
    this.#options = options;
    this.#stats = stats;
    this.#faults = faults;
    this.#log = new ClientLog({ limit: LOG_LIMIT, captureAudio: options.captureAudio });
    const listener: ChannelListener = {
      sent: (errorCode) => stats.sent(errorCode),
      event: (event) => this.emit('serverEvent', event),
      wantsEvents: () => this.listenerCount('serverEvent') > 0,
      mutated: (mutation, event) => this.emit('mutated', mutation, event),
    };
    this.#channel = new EventChannel(socket, this.#ids, listener, options.dialect);
    const durationMs = faults.sessionDurationMs ?? options.sessionDurationMs;
    const expiresAt = Math.floor((Date.now() + durationMs) / 1000);
    this.#session = new Session(
      this.#ids.next('sess'),
      request.model,
      'expiresAt' in faults ? faults.expiresAt : expiresAt,
    );
    this.#conversation = new Conversation(this.#ids.next('conv'));
    this.#trigger = new FaultTrigger({
      drop: (code) => this.drop(code),
      stall: () => this.stall(),
      after: (delayMs, task) => void this.#timers.after(delayMs, task),
    });
    this.#dialogue = new Dialogue(this.#core(library), (bytes) => this.#log.addAudio(bytes));
    socket.on('message', (data) => this.#receive(data));
    socket.on('ping', (data) => {
      if (!this.#channel.isStalled) socket.pong(data);
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', (code, reason) => this.#closed(code, reason.toString()));
  }

  #core(library: Library): Core {
    const connection = this;
    return {
      options: this.#options,
      library,
      ids: this.#ids,
      channel: this.#channel,
      stats: this.#stats,
      timers: this.#timers,
      session: this.#session,
      conversation: this.#conversation,
      trigger: this.#trigger,
      get faults() {
        return connection.#faults;
      },
      get budget() {
        return connection.#budget;
      },
    };
  }

  /** Greets the client with `session.created`, unless its dialect has none. Called once, by the server. */
  open(): void {
    this.setFaults(this.#faults);
    if (this.#options.dialect !== 'no-created') {
      this.#channel.send({ type: 'session.created', session: this.#session.published });
    }
    this.#trigger.reached('connected');
  }

  /** The session's id (`sess_…`). */
  get id(): string {
    return this.#session.wire.id;
  }

  /** The session as it is now. */
  get session(): WireSession {
    return this.#session.wire;
  }

  /** The conversation's items in their order, as the wire has them. */
  get items(): readonly object[] {
    return this.#conversation.entries.map(({ item }) => item);
  }

  /** Client events in order of arrival (the last 2000 at least). Appends in a row are one entry that counts them. */
  get received(): readonly ReceivedEvent[] {
    return this.#log.events;
  }

  /** Types of the client events received, appends in a row once. */
  get receivedTypes(): string[] {
    return this.#log.events.map(({ type }) => type);
  }

  /** All audio received, in the encoding it came in. @throws Error unless the simulator was started with `captureAudio` */
  receivedAudio(): Uint8Array {
    return this.#log.audio();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** The faults in force. */
  get faults(): Faults {
    return this.#faults;
  }

  /** Replaces the faults, from here on. Counters (`times`) start anew, and drops and stalls may strike again. */
  setFaults(faults: Faults): void {
    this.#faults = faults;
    this.#budget = new FaultBudget();
    this.#trigger.configure(faults);
    this.#channel.configure(faults);
    this.#stopExpiry();
    const durationMs = faults.sessionDurationMs ?? this.#options.sessionDurationMs;
    const leftMs = Math.max(0, durationMs - (performance.now() - this.#startedAtMs));
    this.#stopExpiry = this.#timers.after(leftMs, () => this.#expire());
  }

  /** Destroys the socket without a close frame (the client sees 1006), or closes it with a code. */
  drop(closeCode?: number): void {
    if (closeCode === undefined) this.#socket.terminate();
    else this.#close(closeCode, '');
  }

  /** Falls silent: no more events, no pongs, and what arrives is not acted upon. TCP stays open. */
  stall(): void {
    this.#channel.stall();
  }

  /** Sends any event, as it is but for its `event_id`. */
  send(event: { type: string; [field: string]: unknown }): void {
    this.#channel.send(event as unknown as OutgoingEvent);
  }

  /** Refuses a client that speaks the beta's protocol, where that is not what is spoken here: with an `error`, then close code 4000. Called by the server. */
  refuseBeta(): void {
    const code = 'beta_api_shape_disabled';
    const message = 'The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.';
    this.#channel.sendError({ code, message, param: null }, null);
    this.#close(4000, `invalid_request_error.${code}`);
  }

  #expire(): void {
    const message = 'Your session hit the maximum duration of 60 minutes.';
    this.#channel.sendError({ code: 'session_expired', message, param: null }, null);
    this.#close(1001, message);
  }

  #close(code: number, reason: string): void {
    this.#channel.flush();
    this.#socket.close(code, reason);
  }

  #receive(data: RawData): void {
    this.#stats.received();
    const parsed = parse(data.toString());
    const event = parsed && this.#options.dialect === 'beta' ? fromBeta(parsed) : parsed;
    if (!event) {
      const message = 'We could not parse the JSON of your event. It must be an object with a type.';
      this.#channel.sendError({ code: 'invalid_json', message, param: null }, null);
      return;
    }
    this.#log.add(event);
    if (this.listenerCount('clientEvent') > 0) {
      const isAppend = event.type === 'input_audio_buffer.append';
      this.emit('clientEvent', isAppend ? { ...event, audio: undefined } : event);
    }
    if (!this.#channel.isStalled && this.isOpen) this.#dialogue.handle(event);
  }

  #closed(code: number, reason: string): void {
    this.#timers.close();
    this.#channel.close();
    this.#dialogue.close();
    this.emit('close', code, reason);
  }
}

function parse(text: string): ClientEvent | undefined {
  try {
    const event: unknown = JSON.parse(text);
    const isEvent = typeof event === 'object' && event !== null && 'type' in event && typeof event.type === 'string';
    return isEvent ? (event as ClientEvent) : undefined;
  } catch {
    return undefined;
  }
}
