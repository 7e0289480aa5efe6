import { BusError, type CallContext, type Client, type Sink, Status } from '../../bus/index.ts';
import { monotonicNowMs } from '../../clock.ts';
import { type CallerFrame, RealtimeSession } from '../../realtime/session.ts';
import { UpstreamError } from '../../realtime/upstream-error.ts';
import type { ConnectPermit, ConnectRequest, RealtimeHost, ReplyAudio } from '../../upstream/host.ts';
import { ClientCadence } from './cadence.ts';
import type { GatewayService, OpenAnswer, OpenRequest, ReportedEvent, SessionCommand } from './service.ts';
import { type FillableSession, SILENCE_FRAME_MS } from './silence-filler.ts';

/** Audio that may wait in a socket before the client is made to wait. */
const MAX_SOCKET_BACKLOG_BYTES = 256 * 1024;
const BACKLOG_CHECK_MS = 20;

/** For the result of an attempt that took all its time to reach the main thread. */
const RESULT_GRACE_MS = 5_000;

type Gateway = Client<(typeof GatewayService)['methods']>;

/** One session on a session worker: the realtime session, and its streams to the main thread. */
export class HostedSession implements FillableSession {
  silentSinceMs: number | undefined;
  readonly #key: string;
  readonly #gateway: Gateway;
  readonly #onSent: (latencyMs: number) => void;
  readonly #cadence = new ClientCadence();
  #session: RealtimeSession | undefined;
  #downlink: Sink<ReplyAudio> | undefined;
  #events: Sink<ReportedEvent> | undefined;
  #silenceFrame = '';
  #closed = false;

  /** @param onSent told the milliseconds from a chunk's arrival to its frame on the socket */
  constructor(key: string, gateway: Gateway, onSent: (latencyMs: number) => void) {
    this.#key = key;
    this.#gateway = gateway;
    this.#onSent = onSent;
  }

  get patienceMs(): number {
    return this.#cadence.patienceMs;
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
    const session = new RealtimeSession({ ...request, nowMs: monotonicNowMs }, this.#host());
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
    this.silentSinceMs = monotonicNowMs();
    this.#cadence.heard(frame.receivedAtMs, frame.audioMs);
    const session = this.#session;
    if (!session) return undefined;
    if (session.sendAudio(frame)) this.#onSent(monotonicNowMs() - frame.receivedAtMs);
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

  sendSilence(nowMs: number): void {
    this.#session?.sendAudio({
      frame: this.#silenceFrame,
      audioMs: SILENCE_FRAME_MS,
      receivedAtMs: nowMs,
      voicedMs: 0,
    });
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
      event: (event) => {
        if (this.#closed) return;
        if (event.type === 'speech_started') this.#cadence.interrupted(monotonicNowMs());
        this.#events?.write({ atMs: monotonicNowMs(), ...event });
      },
      audio: (audio) => {
        if (this.#closed) return;
        if (audio.kind === 'delta') this.#cadence.replied(audio.receivedAtMs, audio.audioMs);
        this.#downlink?.write(audio);
      },
      isPlaying: (items) => gateway.isPlaying({ sessionKey, items }),
      interrupt: (items, startedAtMs) => gateway.interrupt({ sessionKey, items, startedAtMs }),
      runTool: (call) => gateway.runTool({ sessionKey, call }),
      history: () => gateway.history({ sessionKey }),
      connectPermit: (request) => this.#connectPermit(request),
    };
  }

  async #connectPermit({ signal, endsAtMs }: ConnectRequest): Promise<ConnectPermit> {
    const timeoutMs = endsAtMs - monotonicNowMs() + RESULT_GRACE_MS;
    const call = this.#gateway.connect({ sessionKey: this.#key, endsAtMs }, { signal, timeoutMs });
    const { promise: granted, resolve, reject } = Promise.withResolvers<unknown>();
    call.onItem(resolve).then(() => reject(new BusError(Status.Internal, 'there was no permit')), reject);
    await granted;
    return {
      settle(result) {
        if (call.sink.closed) return;
        call.sink.write(result);
        call.sink.end();
      },
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
