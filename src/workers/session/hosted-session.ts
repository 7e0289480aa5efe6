import { BusError, type CallContext, type Client, type Sink, Status } from '../../bus/index.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { AiConversation, CallerAudio } from '../../upstream/ai-conversation.ts';
import type { ConnectPermit, ConnectRequest, ConversationHost, ReplyAudio } from '../../upstream/host.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import { ClientCadence } from './cadence.ts';
import { NEW_CONVERSATION } from './protocols.ts';
import type { GatewayService, OpenAnswer, OpenRequest, ReportedEvent, SessionCommand } from './service.ts';
import { SILENCE_MS, type SilentSession } from './silence.ts';

/** Audio that may wait in a socket before the client is made to wait. */
const MAX_SOCKET_BACKLOG_BYTES = 256 * 1024;
const BACKLOG_CHECK_MS = 20;

/** For the result of an attempt that took all its time to reach the main thread. */
const RESULT_GRACE_MS = 5_000;

type Gateway = Client<(typeof GatewayService)['methods']>;

/** One session on a session worker: the conversation with the AI, and its streams to the main thread. */
export class HostedSession implements SilentSession {
  silentSinceMs: number | undefined;
  readonly #key: string;
  readonly #gateway: Gateway;
  readonly #onSent: (latencyMs: number) => void;
  readonly #cadence = new ClientCadence();
  #conversation: AiConversation | undefined;
  #downlink: Sink<ReplyAudio> | undefined;
  #events: Sink<ReportedEvent> | undefined;
  #silence = '';
  #closed = false;

  /** @param onSent told the milliseconds from a chunk's arrival to its audio on the socket */
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
    if (this.#conversation) throw new BusError(Status.AlreadyExists, `session ${this.#key} is open already`);
    this.#silence = request.silence;
    const conversation = NEW_CONVERSATION[request.target.protocol](request, this.#host(), monotonicNowMs);
    this.#conversation = conversation;
    context.signal.addEventListener('abort', () => conversation.close(), { once: true });
    try {
      return await conversation.open(Math.max(1, context.timeRemainingMs() - 50));
    } catch (error) {
      conversation.close();
      throw toBusError(error);
    }
  }

  /** Sends a piece of caller audio; what it returns makes the client's stream wait while the socket is behind. */
  sendAudio(audio: CallerAudio): Promise<void> | undefined {
    this.silentSinceMs = monotonicNowMs();
    this.#cadence.heard(audio.receivedAtMs, audio.audioMs);
    const conversation = this.#conversation;
    if (!conversation) return undefined;
    if (conversation.sendAudio(audio)) this.#onSent(monotonicNowMs() - audio.receivedAtMs);
    return conversation.bufferedBytes > MAX_SOCKET_BACKLOG_BYTES ? this.#drained(conversation) : undefined;
  }

  command(command: SessionCommand): void {
    switch (command.type) {
      case 'dtmf':
        this.#conversation?.sendDtmf(command.digits);
        break;
      case 'prompt':
        this.#conversation?.prompt(command.instructions);
        break;
      case 'cancel_reply':
        this.#conversation?.cancelReply(command.itemId, command.keptMs);
        break;
    }
  }

  sendSilence(nowMs: number): void {
    this.#conversation?.sendAudio({
      base64: this.#silence,
      audioMs: SILENCE_MS,
      receivedAtMs: nowMs,
      voicedMs: 0,
    });
  }

  close(): void {
    this.#closed = true;
    this.#conversation?.close();
    this.#downlink?.end();
    this.#events?.end();
  }

  #host(): ConversationHost {
    const sessionKey = this.#key;
    const gateway = this.#gateway;
    return {
      // A conversation that is being closed still ends what was under way; by then its call no longer listens.
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

  async #drained(conversation: AiConversation): Promise<void> {
    while (conversation.bufferedBytes > MAX_SOCKET_BACKLOG_BYTES / 2) {
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
