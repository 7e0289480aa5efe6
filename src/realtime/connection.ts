import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { WebSocket } from 'ws';
import type { Clock } from '../clock.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import { headersOf, refusedHandshake } from '../upstream/handshake.ts';
import type { Misfit } from '../upstream/misfit.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { errorOf, type IncomingError, NO_EVENT, type RawEvent } from './incoming.ts';
import { configurationError } from './server-error.ts';
import { parseServerEvent } from './server-events.ts';
import { differences } from './session-answer.ts';
import type { SaidExpiry } from './session-life.ts';
import { type RealtimeSettings, sessionUpdate } from './settings.ts';

export interface ConnectOptions {
  readonly target: UpstreamTarget;
  readonly settings: RealtimeSettings;
  /** From the first packet to `session.updated`. */
  readonly timeoutMs: number;
  /** How often the socket is pinged; two missed answers end it. */
  readonly pingIntervalMs?: number;
  readonly signal?: AbortSignal;
  readonly nowMs: Clock;
}

/** Default of `ConnectOptions.pingIntervalMs`. */
export const PING_INTERVAL_MS = 15_000;
const MAX_MISSED_PONGS = 2;
const MAX_SESSION_ID_LENGTH = 200;
/**
 * The largest message that is read; a longer one ends the connection, which is replaced. It is two minutes of speech in
 * one event, where the service sends pieces of less than a second, and a message costs several times its size.
 */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

/** What the server said to the settings of transcription. */
export interface TranscriptionRefusal {
  readonly code: string;
  readonly message: string;
}

/** A connection whose session is configured. It reports every event until it closes, once. */
export interface RealtimeConnection {
  /** The server's id of the session. */
  readonly upstreamSessionId: string | undefined;
  /** When the server had created the session, on the monotonic clock. */
  readonly createdAtMs: number;
  /** What the server said of the session's end; undefined: nothing. */
  readonly expiry: SaidExpiry | undefined;
  /** Bytes accepted but not yet handed to the network. */
  readonly bufferedBytes: number;
  /** Why nothing is transcribed on it, where that was asked for. */
  readonly transcriptionRefusal: TranscriptionRefusal | undefined;
  /** The settings that the server confirmed are not those that it was asked for. */
  readonly misfit: Misfit | undefined;
  /** What the server gave with the handshake, by lower-case name. */
  readonly handshakeHeaders: Readonly<Record<string, unknown>>;
  /** The session as the server created it and as it confirmed it; undefined where it did not say. */
  readonly createdSession: unknown;
  readonly confirmedSession: unknown;
  /** Why it closed, if it was not closed here; also known where nobody had set `onClose` yet. */
  readonly failure: UpstreamError | undefined;
  /** Sends an event; false when the socket is no longer open. */
  send(event: RealtimeClientEvent): boolean;
  /** Sends caller audio, as base64. */
  sendAudio(base64: string): boolean;
  /** Handlers are called in order; set both right after the connection was made. */
  onEvent: (event: RawEvent) => void;
  onClose: (error: UpstreamError) => void;
  /** Closes normally; `onClose` is not called. Idempotent. */
  close(): void;
}

/**
 * Opens a socket, configures the session and resolves once the server confirmed it (`session.updated`): audio sent
 * before would be read in the default format. The settings are sent as soon as the socket is open, since not every server
 * says `session.created`. A session of which only the transcription is refused is configured without.
 * @throws {UpstreamError} refused, timed out, or ended before it was ready
 */
export function connectRealtime(options: ConnectOptions): Promise<RealtimeConnection> {
  return new Promise((resolve, reject) => {
    const { target, settings, signal } = options;
    const configEventId = 'session-config';
    const headers = headersOf(target);
    if (headers instanceof UpstreamError) {
      reject(headers);
      return;
    }
    const socket = new WebSocket(urlOf(target, settings.model), {
      perMessageDeflate: false,
      followRedirects: false,
      skipUTF8Validation: true,
      maxPayload: MAX_MESSAGE_BYTES,
      headers,
    });
    let asked = sessionUpdate(settings, configEventId);
    const connection = new SocketConnection(socket, options.pingIntervalMs ?? PING_INTERVAL_MS, options.nowMs);
    const timer = setTimeout(() => {
      fail(
        new UpstreamError('timeout', 'connect_timeout', `the upstream was not ready within ${options.timeoutMs} ms`),
      );
    }, options.timeoutMs);
    const onAbort = () => fail(new UpstreamError('timeout', 'aborted', 'connecting was given up'));
    signal?.addEventListener('abort', onAbort, { once: true });

    function settle(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      connection.onEvent = () => {};
      connection.onClose = () => {};
    }
    function fail(error: UpstreamError): void {
      settle();
      connection.close();
      socket.terminate();
      reject(error);
    }

    socket.once('open', () => {
      connection.created();
      connection.send(asked);
    });
    socket.once('unexpected-response', (_request, response) => {
      void refusedHandshake(response).then(fail);
    });
    connection.onClose = fail;
    connection.onEvent = (event) => {
      if (event.type === 'session.created') {
        connection.created();
        connection.createdSession = event['session'];
        connection.describe(event['session']);
      } else if (event.type === 'session.updated') {
        connection.confirmed(asked.session, event['session']);
        settle();
        resolve(connection);
      } else if (event.type === 'error') {
        const error = errorOf(event['error']);
        if (connection.transcriptionRefusal === undefined && isAboutTranscription(error, settings)) {
          connection.transcriptionRefusal = { code: error.code ?? 'error', message: error.message };
          asked = sessionUpdate({ ...settings, transcription: null }, configEventId);
          connection.send(asked);
          return;
        }
        const failure = configurationError(error, configEventId);
        if (failure) fail(failure);
      }
    };
    if (signal?.aborted) onAbort();
  });
}

/** Whether the server would take the session without its transcription, as far as one can tell from what it says. */
function isAboutTranscription({ message, param }: IncomingError, settings: RealtimeSettings): boolean {
  const { transcription, model } = settings;
  if (transcription === null) return false;
  if (param?.startsWith('session.audio.input.transcription')) return true;
  return message.includes(transcription.model) && !model.includes(transcription.model);
}

function urlOf({ url }: UpstreamTarget, model: string): string {
  const target = new URL(url);
  const { searchParams } = target;
  if (!searchParams.has('model') && !searchParams.has('deployment')) searchParams.set('model', model);
  return target.href;
}

class SocketConnection implements RealtimeConnection {
  onEvent: (event: RawEvent) => void = () => {};
  onClose: (error: UpstreamError) => void = () => {};
  upstreamSessionId: string | undefined;
  createdAtMs: number;
  expiry: SaidExpiry | undefined;
  transcriptionRefusal: TranscriptionRefusal | undefined;
  misfit: Misfit | undefined;
  handshakeHeaders: Readonly<Record<string, unknown>> = {};
  createdSession: unknown;
  confirmedSession: unknown;
  failure: UpstreamError | undefined;
  #socket: WebSocket;
  #closed = false;
  #pinger: NodeJS.Timeout;
  #missedPongs = 0;
  readonly #nowMs: Clock;
  #wallAtCreation: Pick<SaidExpiry, 'wallMs' | 'isServersClock'> | undefined;
  /** The time that the server's handshake told, and when it did. */
  #serverTime: { readonly wallMs: number; readonly atMs: number } | undefined;

  constructor(socket: WebSocket, pingIntervalMs: number, nowMs: Clock) {
    this.#socket = socket;
    this.#nowMs = nowMs;
    this.createdAtMs = nowMs();
    socket.once('upgrade', ({ headers }) => {
      this.handshakeHeaders = headers;
      const wallMs = Date.parse(headers.date ?? '');
      if (!Number.isNaN(wallMs)) this.#serverTime = { wallMs, atMs: nowMs() };
    });
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary || this.#closed) return;
      // Whoever talks is alive.
      this.#missedPongs = 0;
      this.onEvent(parseServerEvent(data.toString('utf8')) ?? NO_EVENT);
    });
    socket.on('pong', () => {
      this.#missedPongs = 0;
    });
    socket.on('error', (cause) => {
      this.#fail(
        new UpstreamError('unavailable', 'socket_error', `the upstream socket failed: ${cause.message}`, { cause }),
      );
    });
    socket.on('close', (code, reason) => {
      this.#fail(closeError(code, reason.toString('utf8')));
    });
    this.#pinger = setInterval(() => this.#ping(), pingIntervalMs);
    this.#pinger.unref();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The server has created the session just now, or will not say when. */
  created(): void {
    this.createdAtMs = this.#nowMs();
    this.#wallAtCreation = this.#serverTime
      ? { wallMs: this.#serverTime.wallMs + this.createdAtMs - this.#serverTime.atMs, isServersClock: true }
      : { wallMs: Date.now(), isServersClock: false };
  }

  /** Notes what the server said of the session. */
  describe(session: unknown): void {
    const { id, expires_at: expiresAt } = (session ?? {}) as { id?: unknown; expires_at?: unknown };
    if (typeof id === 'string' && id !== '') this.upstreamSessionId = id.slice(0, MAX_SESSION_ID_LENGTH);
    // What is said again later is the same moment.
    if (this.#wallAtCreation && expiresAt != null) this.expiry ??= { expiresAt, ...this.#wallAtCreation };
  }

  /** The server has answered the settings that it was sent. */
  confirmed(asked: unknown, answer: unknown): void {
    this.confirmedSession = answer;
    this.describe(answer);
    const found = differences(asked, answer);
    if (found.length > 0) this.misfit = { kind: 'settings', differences: found };
  }

  send(event: RealtimeClientEvent): boolean {
    return this.#sendText(JSON.stringify(event));
  }

  sendAudio(base64: string): boolean {
    // Base64 has nothing to escape.
    return this.#sendText(`{"type":"input_audio_buffer.append","audio":"${base64}"}`);
  }

  #sendText(text: string): boolean {
    if (this.#closed || this.#socket.readyState !== WebSocket.OPEN) return false;
    // Of bytes `ws` makes one write, of text two pieces for one.
    this.#socket.send(Buffer.from(text), { binary: false });
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#end();
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    else this.#socket.close(1000);
  }

  #ping(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#missedPongs >= MAX_MISSED_PONGS) {
      this.#fail(new UpstreamError('timeout', 'stalled', `the upstream missed ${MAX_MISSED_PONGS} pings`));
      this.#socket.terminate();
      return;
    }
    this.#missedPongs += 1;
    this.#socket.ping();
  }

  #fail(error: UpstreamError): void {
    if (this.#closed) return;
    this.#end();
    this.failure = error;
    this.onClose(error);
  }

  #end(): void {
    this.#closed = true;
    clearInterval(this.#pinger);
    // A terminated handshake still reports an error.
    this.#socket.on('error', () => {});
  }
}

function closeError(code: number, reason: string): UpstreamError {
  const message = `the upstream closed the socket (${code}${reason ? `: ${reason}` : ''})`;
  return code === 4000
    ? new UpstreamError('refused', 'close_4000', message)
    : new UpstreamError('unavailable', `close_${code}`, message);
}
