import { BusError, type CallContext, type Client, type Sink, Status } from '../bus/index.ts';
import { hrNowMs } from '../metrics/clock.ts';
import type { RealtimeHost, ReplyAudio } from '../realtime/host.ts';
import { type CallerFrame, RealtimeSession } from '../realtime/session.ts';
import { UpstreamError } from '../realtime/upstream-error.ts';
import type { GatewayService, OpenAnswer, OpenRequest, ReportedEvent, SessionCommand } from './session-service.ts';

/** Without audio from the client for this long, silence goes upstream, so that its VAD can close a turn. */
export const SILENCE_AFTER_MS = 300;
/** What a frame of silence lasts. */
const SILENCE_FRAME_MS = 100;
/** Audio that may wait in a socket before the client is made to wait. */
const MAX_SOCKET_BACKLOG_BYTES = 256 * 1024;
const BACKLOG_CHECK_MS = 20;

type Gateway = Client<(typeof GatewayService)['methods']>;

/** One session on a session worker: the realtime session, and its streams to the main thread. */
export class HostedSession {
  readonly #key: string;
  readonly #gateway: Gateway;
  readonly #onSent: (latencyMs: number) => void;
  #session: RealtimeSession | undefined;
  #downlink: Sink<ReplyAudio> | undefined;
  #events: Sink<ReportedEvent> | undefined;
  #silenceFrame = '';
  #silentSinceMs: number | undefined;
  #closed = false;

  /** @param onSent told the milliseconds from a chunk's arrival to its frame on the socket */
  constructor(key: string, gateway: Gateway, onSent: (latencyMs: number) => void) {
    this.#key = key;
    this.#gateway = gateway;
    this.#onSent = onSent;
  }

  attachDownlink(sink: Sink<ReplyAudio>): void {
    this.#downlink = sink;
  }

  attachEvents(sink: Sink<ReportedEvent>): void {
    this.#events = sink;
  }

  /** @throws {BusError} whose code says what kind of failure it is, and `details` the upstream's own code */
  async open(request: OpenRequest, context: CallContext): Promise<OpenAnswer> {
    if (this.#session) throw new BusError(Status.AlreadyExists, `session ${this.#key} is open already`);
    this.#silenceFrame = request.silenceFrame;
    const session = new RealtimeSession({ ...request, nowMs: hrNowMs }, this.#host());
    this.#session = session;
    context.signal.addEventListener('abort', () => session.close(), { once: true });
    try {
      return await session.open(Math.max(1, context.timeRemainingMs() - 50));
    } catch (error) {
      session.close();
      throw toBusError(error);
    }
  }

  /** Sends a frame; what it returns makes the client's stream wait while the socket is behind. */
  sendAudio(frame: CallerFrame): Promise<void> | undefined {
    this.#silentSinceMs = hrNowMs();
    const session = this.#session;
    if (!session) return undefined;
    if (session.sendAudio(frame)) this.#onSent(hrNowMs() - frame.receivedAtMs);
    return session.bufferedBytes > MAX_SOCKET_BACKLOG_BYTES ? this.#drained(session) : undefined;
  }

  command(command: SessionCommand): void {
    switch (command.type) {
      case 'dtmf':
        this.#session?.sendDtmf(command.digits);
        break;
      case 'prompt':
        this.#session?.prompt(command.instructions);
        break;
      case 'cancel_reply':
        this.#session?.cancelReply(command.itemId, command.keptMs);
        break;
    }
  }

  /**
   * Sends silence in the client's place once it has been quiet for a while.
   * @returns milliseconds until it is to be called again, up to `SILENCE_AFTER_MS`
   */
  fillSilence(nowMs: number): number {
    if (this.#silentSinceMs === undefined) return SILENCE_AFTER_MS;
    const dueInMs = this.#silentSinceMs + SILENCE_AFTER_MS - nowMs;
    if (dueInMs > 0) return dueInMs;
    // Keeps pace with the clock: what is sent stands for time that has passed.
    this.#silentSinceMs += SILENCE_FRAME_MS;
    this.#session?.sendAudio({
      frame: this.#silenceFrame,
      audioMs: SILENCE_FRAME_MS,
      receivedAtMs: nowMs,
      voicedMs: 0,
    });
    return Math.max(0, dueInMs + SILENCE_FRAME_MS);
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#downlink?.end();
    this.#events?.end();
  }

  #host(): RealtimeHost {
    const sessionKey = this.#key;
    const gateway = this.#gateway;
    return {
      // Nobody is told what comes to an end behind the session's.
      event: (event) => void (this.#closed || this.#events?.write({ atMs: hrNowMs(), ...event })),
      audio: (audio) => void (this.#closed || this.#downlink?.write(audio)),
      isPlaying: (items) => gateway.isPlaying({ sessionKey, items }),
      interrupt: (items, startedAtMs) => gateway.interrupt({ sessionKey, items, startedAtMs }),
      runTool: (call) => gateway.runTool({ sessionKey, call }),
      history: () => gateway.history({ sessionKey }),
      connectPermit: () => gateway.connectPermit({ sessionKey }),
      connectResult: (result) => void gateway.connectResult({ sessionKey, result }).catch(() => {}),
    };
  }

  async #drained(session: RealtimeSession): Promise<void> {
    while (session.bufferedBytes > MAX_SOCKET_BACKLOG_BYTES / 2) {
      await new Promise((resolve) => setTimeout(resolve, BACKLOG_CHECK_MS));
    }
  }
}

function toBusError(error: unknown): BusError {
  if (!(error instanceof UpstreamError)) return BusError.from(error);
  const code = {
    refused: Status.FailedPrecondition,
    rate_limited: Status.ResourceExhausted,
    unavailable: Status.Unavailable,
    timeout: Status.DeadlineExceeded,
    protocol: Status.Internal,
  }[error.class];
  return new BusError(code, error.message, { cause: error, details: { upstreamCode: error.code } });
}
