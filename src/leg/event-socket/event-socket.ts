import type { Socket } from 'node:net';
import { LegError } from '../errors.ts';
import { type EventSocketMessage, type Fields, MessageReader, oneLine, parseFields } from './message.ts';

/** Told what FreeSWITCH says unasked. */
export interface EventSocketListener {
  /** Something happened to the call. */
  onEvent(event: Fields): void;
  /** The connection is over. Called once. `why` undefined: it ended in order. */
  onClosed(why: LegError | undefined): void;
}

/** FreeSWITCH answers a command within milliseconds; a thread of it that is held up needs longer. */
const REPLY_TIMEOUT_MS = 5_000;
/** How long a connection that is closed has for its last words. */
const LINGER_MS = 1_000;

interface Waiting {
  readonly resolve: (reply: Fields) => void;
  readonly reject: (error: LegError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One connection that FreeSWITCH made for one call (its application `socket`, with `async full`). Whoever is given it
 * closes it.
 */
export class EventSocket {
  readonly #socket: Socket;
  readonly #reader = new MessageReader();
  readonly #waiting: Waiting[] = [];
  #listener: EventSocketListener | undefined;
  #early: Fields[] = [];
  #error: LegError | undefined;
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => {
      this.#error ??= new LegError('closed', 'the event socket broke', { cause });
    });
    socket.once('close', () => this.#onClose());
  }

  /** The address FreeSWITCH is at. */
  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  /** The address at which it reached this end. */
  get localAddress(): string {
    return this.#socket.localAddress ?? '';
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Everything from now on goes to `listener`, beginning with what came before it was there. */
  listen(listener: EventSocketListener): void {
    this.#listener = listener;
    for (const event of this.#early.splice(0)) listener.onEvent(event);
    if (this.#isClosed) listener.onClosed(this.#error);
  }

  /**
   * Sends a command with its fields.
   * @returns the fields of the reply
   * @throws {LegError} `refused`, `no_reply`, `closed`
   */
  async command(line: string, fields: Readonly<Record<string, string>> = {}): Promise<Fields> {
    if (this.#isClosed || !this.#socket.writable) throw new LegError('closed', 'the event socket is closed');
    const { promise, resolve, reject } = Promise.withResolvers<Fields>();
    const timer = setTimeout(
      () => this.#fail(new LegError('no_reply', 'FreeSWITCH does not answer on the event socket')),
      REPLY_TIMEOUT_MS,
    );
    this.#waiting.push({ resolve, reject, timer });
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${oneLine(value)}\n`);
    this.#socket.write(`${oneLine(line)}\n${lines.join('')}\n`);
    const reply = await promise;
    const text = reply.get('reply-text') ?? '';
    if (text.startsWith('-ERR')) {
      throw new LegError('refused', `FreeSWITCH says "${oneLine(text)}" to "${line.split(' ', 1)[0]}"`);
    }
    return reply;
  }

  /** Has the call do something: `execute` with an application, `unicast`, `hangup`. It comes in the order of these. */
  async tell(command: string, fields: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.command('sendmsg', { 'call-command': command, ...fields });
  }

  /** Runs an application of the dialplan; `id` is in the event that tells of its end. */
  async execute(application: string, argument = '', id?: string): Promise<void> {
    await this.tell('execute', {
      'execute-app-name': application,
      ...(argument === '' ? {} : { 'execute-app-arg': argument }),
      ...(id === undefined ? {} : { 'event-uuid': id }),
    });
  }

  /** Lets go of the call. Idempotent. */
  close(): void {
    if (this.#isClosed || !this.#socket.writable) return;
    this.#socket.end('exit\n\n');
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  /** Breaks the connection off. Idempotent. */
  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      for (const message of this.#reader.push(chunk)) this.#take(message);
    } catch (error) {
      this.#fail(
        error instanceof LegError ? error : new LegError('garbage', 'a message is not understood', { cause: error }),
      );
    }
  }

  #take({ fields, body }: EventSocketMessage): void {
    const type = fields.get('content-type');
    if (type === 'command/reply' || type === 'api/response') {
      const waiting = this.#waiting.shift();
      if (!waiting) throw new LegError('garbage', 'a reply that nobody waits for came over the event socket');
      clearTimeout(waiting.timer);
      waiting.resolve(fields);
    } else if (type === 'text/event-plain') {
      const event = parseFields(body.split('\n\n', 1)[0]!);
      if (this.#listener) this.#listener.onEvent(event);
      else if (this.#early.push(event) > 100) throw new LegError('garbage', 'events came that nobody asked for');
    } else if (type === 'text/disconnect-notice') {
      // With `linger` the call has gone, and its last events follow.
      if (fields.get('content-disposition') !== 'linger') this.#socket.end();
    } else if (type === undefined) {
      throw new LegError('garbage', 'a message without a type came over the event socket');
    }
  }

  #fail(error: LegError): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #onClose(): void {
    this.#isClosed = true;
    const error = this.#error ?? new LegError('closed', 'the event socket is closed');
    for (const { timer, reject } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(error);
    }
    this.#listener?.onClosed(this.#error);
  }
}
