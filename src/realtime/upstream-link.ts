import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { type Clock, timerMs } from '../clock.ts';
import type { CallerAudio, UpstreamTarget } from '../upstream/ai-conversation.ts';
import { AudioRing } from '../upstream/audio-ring.ts';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { ConversationHost } from '../upstream/host.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import type { UpstreamError } from '../upstream/upstream-error.ts';
import { Attempts } from './attempts.ts';
import type { RealtimeConnection, TranscriptionRefusal } from './connection.ts';
import { Connector, givenUp, toUpstreamError } from './connector.ts';
import type { EventSender } from './event-sender.ts';
import type { RawEvent } from './incoming.ts';
import type { Misfits } from './misfits.ts';
import { replayEvents } from './replay.ts';
import type { SessionConfig } from './session-config.ts';
import { sessionLife } from './session-life.ts';

/** Characters of something unexpected that are worth quoting. */
const MAX_QUOTED = 100;

const ROTATION_PAUSE_POLL_MS = 250;
/** A session that has found no pause this long before the server's end moves in the middle of things. */
const ROTATION_LAST_CHANCE_MS = 30_000;
/** Of a short-lived session the last chance is this share. */
const ROTATION_LAST_SHARE = 1 / 8;

export interface UpstreamLinkOptions {
  readonly target: UpstreamTarget;
  readonly policy: ReconnectPolicy;
  /** What connections made from now on are configured with. */
  readonly config: SessionConfig;
  readonly host: Pick<ConversationHost, 'connectPermit' | 'history' | 'event'>;
  readonly misfits: Misfits;
  readonly nowMs: Clock;
}

export interface LinkListener {
  /** Whether nobody speaks and nothing is being answered, so that moving goes unnoticed. */
  isPause(): boolean;
  onEvent(event: RawEvent): void;
  onLost(error: UpstreamError): void;
  /** A new connection knows the conversation. */
  onRestored(restored: Restored): void;
  /** There is no connection, and will be none. */
  onFailed(error: UpstreamError): void;
}

export interface Restored {
  readonly cause: 'lost' | 'rotated';
  /** What the new connection was told. */
  readonly replayed: readonly ReplayItem[];
  readonly tookMs: number;
  readonly attempt: number;
  readonly droppedAudioMs: number;
}

/**
 * One session's way to the upstream, over as many connections as it takes: a lost one is replaced and told the
 * conversation, one that the server is about to end is replaced before. Caller audio waits in a short ring meanwhile.
 */
export class UpstreamLink implements EventSender {
  readonly #options: UpstreamLinkOptions;
  readonly #listener: LinkListener;
  readonly #nowMs: Clock;
  readonly #connector: Connector;
  readonly #attempts: Attempts;
  readonly #ring: AudioRing;
  readonly #closing = new AbortController();
  #connection: RealtimeConnection | undefined;
  #connectedAtMs = 0;
  #rotatedAtMs = Number.NEGATIVE_INFINITY;
  #rotation: NodeJS.Timeout | undefined;
  #failedRotations = 0;

  constructor(options: UpstreamLinkOptions, listener: LinkListener) {
    this.#options = options;
    this.#listener = listener;
    this.#nowMs = options.nowMs;
    this.#connector = new Connector(options, this.#closing.signal);
    this.#attempts = new Attempts(options.policy);
    this.#ring = new AudioRing(options.policy.keepAudioMs);
  }

  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0;
  }

  get upstreamSessionId(): string | undefined {
    return this.#connection?.upstreamSessionId;
  }

  /**
   * Connects for the first time, trying again while `timeoutMs` lasts and the error may pass.
   * @param replay the conversation so far, where the session goes on elsewhere
   * @returns the number of attempts it took
   * @throws {UpstreamError} the last one
   */
  async open(timeoutMs: number, replay: readonly ReplayItem[] = []): Promise<number> {
    const endsAtMs = this.#nowMs() + timeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        const connection = await this.#connect(endsAtMs);
        for (const event of replayEvents(replay)) connection.send(event);
        this.#adopt(connection);
        return attempt;
      } catch (error) {
        const failure = toUpstreamError(error);
        const backoffMs = this.#attempts.backoffMs(attempt);
        if (!failure.retryable || this.#closing.signal.aborted || this.#nowMs() + backoffMs >= endsAtMs) throw failure;
        await this.#sleep(backoffMs);
      }
    }
  }

  /** Sends an event; false while there is no connection. */
  send(event: RealtimeClientEvent): boolean {
    return this.#connection?.send(event) ?? false;
  }

  /** Sends caller audio, or keeps it while there is no connection. Returns whether it went out. */
  sendAudio(audio: CallerAudio): boolean {
    if (this.#connection?.sendAudio(audio.base64)) return true;
    this.#ring.push(audio);
    return false;
  }

  /** Ends the connection and every attempt to make one. Idempotent; no callback follows. */
  close(): void {
    this.#closing.abort();
    clearTimeout(this.#rotation);
    this.#release();
  }

  /** Drops the connection as if the network had, for a server that says it cannot go on. */
  fail(error: UpstreamError): void {
    if (!this.#connection || this.#closing.signal.aborted) return;
    this.#release();
    this.#lost(error);
  }

  async #connect(endsAt: number): Promise<RealtimeConnection> {
    const { config, misfits } = this.#options;
    const connection = await this.#connector.connect(config.settings, endsAt);
    if (connection.misfit) misfits.tell(connection.misfit);
    if (connection.transcriptionRefusal) this.#onTranscriptionRefused(connection.transcriptionRefusal);
    return connection;
  }

  /** The call goes on, without the caller's words in its transcript. */
  #onTranscriptionRefused({ code, message }: TranscriptionRefusal): void {
    const { config, host } = this.#options;
    const model = config.settings.transcription?.model;
    if (model === undefined || this.#closing.signal.aborted) return;
    config.giveUpTranscription();
    host.event({ type: 'transcription_refused', model, code, message });
  }

  #adopt(connection: RealtimeConnection): { droppedMs: number } {
    this.#connection = connection;
    this.#connectedAtMs = this.#nowMs();
    connection.onEvent = (event) => this.#listener.onEvent(event);
    connection.onClose = (error) => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#lost(error);
    };
    const { pieces, droppedMs } = this.#ring.take();
    for (const { base64 } of pieces) connection.sendAudio(base64);
    this.#planRotation(connection);
    return { droppedMs };
  }

  #release(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (!connection) return;
    connection.onEvent = () => {};
    connection.onClose = () => {};
    connection.close();
  }

  #lost(error: UpstreamError): void {
    clearTimeout(this.#rotation);
    if (this.#closing.signal.aborted) return;
    if (!error.retryable) {
      this.#listener.onFailed(error);
      return;
    }
    this.#listener.onLost(error);
    this.#attempts.lost(this.#nowMs() - this.#connectedAtMs);
    void this.#reconnect(error);
  }

  /** @param failure what the session ends with if there is no attempt left */
  async #reconnect(failure: UpstreamError): Promise<void> {
    const startedAtMs = this.#nowMs();
    const givesUpAtMs = startedAtMs + this.#options.policy.maxOutageMs;
    for (let attempt = this.#attempts.next(); attempt !== undefined; attempt = this.#attempts.next()) {
      await this.#sleep(this.#attempts.waitMs);
      // A rotation under way when the connection was lost may have been quicker.
      if (this.#closing.signal.aborted || this.#connection) return;
      if (this.#nowMs() >= givesUpAtMs) break;
      try {
        await this.#replace(undefined, startedAtMs, attempt, givesUpAtMs);
        return;
      } catch (error) {
        failure = toUpstreamError(error);
        if (this.#closing.signal.aborted || this.#connection) return;
        if (!failure.retryable) break;
      }
    }
    this.#listener.onFailed(failure);
  }

  /**
   * Connects, tells the new connection the conversation, and puts it in the old one's place, unless another is there by
   * then: a connection may be lost while its session moves.
   * @param leaving the connection to move from; undefined when it was lost
   */
  async #replace(
    leaving: RealtimeConnection | undefined,
    startedAtMs: number,
    attempt: number,
    endsAtMs: number,
    waitForPauseUntilMs = Number.NEGATIVE_INFINITY,
  ): Promise<void> {
    const connection = await this.#connect(endsAtMs);
    let lost: UpstreamError | undefined;
    connection.onClose = (error) => {
      lost = error;
    };
    let replayed: readonly ReplayItem[];
    // Somebody may have begun to speak while the connection was made, or while the history was fetched.
    const mayWait = () =>
      leaving &&
      this.#connection === leaving &&
      !lost &&
      !this.#listener.isPause() &&
      this.#nowMs() < waitForPauseUntilMs;
    do {
      while (mayWait()) await this.#sleep(ROTATION_PAUSE_POLL_MS / 5);
      replayed = await this.#options.host.history();
    } while (mayWait());
    if (lost || this.#closing.signal.aborted) {
      connection.close();
      throw lost ?? givenUp();
    }
    if (this.#connection && this.#connection !== leaving) {
      connection.close();
      return;
    }
    for (const event of replayEvents(replayed)) connection.send(event);
    this.#release();
    if (leaving) this.#rotatedAtMs = this.#nowMs();
    const { droppedMs } = this.#adopt(connection);
    const tookMs = this.#nowMs() - startedAtMs;
    this.#listener.onRestored({
      cause: leaving ? 'rotated' : 'lost',
      replayed,
      tookMs,
      attempt,
      droppedAudioMs: droppedMs,
    });
  }

  #planRotation({ createdAtMs, expiry }: RealtimeConnection): void {
    clearTimeout(this.#rotation);
    this.#failedRotations = 0;
    const { policy, host } = this.#options;
    const { rotateBeforeMs, rotateFloorMs } = policy;
    const { lifeMs, isOdd } = sessionLife(expiry, policy);
    if (isOdd) {
      const expiresAt = `${JSON.stringify(expiry?.expiresAt)}`.slice(0, MAX_QUOTED);
      host.event({ type: 'expiry_ignored', expiresAt });
    }
    const expiresAtMs = createdAtMs + lifeMs;
    const nowMs = this.#nowMs();
    const remainingMs = expiresAtMs - nowMs;
    // A server that names an end that is always near would have the call move all the time.
    const floorAtMs = this.#rotatedAtMs + rotateFloorMs;
    // A short-lived session keeps some of its life: moving takes a second or so.
    const moveInMs = Math.max(remainingMs - rotateBeforeMs, remainingMs / 2, floorAtMs - nowMs);
    const lastChanceMs = Math.min(ROTATION_LAST_CHANCE_MS, rotateBeforeMs / 2, remainingMs * ROTATION_LAST_SHARE);
    this.#rotateIn(moveInMs, Math.max(expiresAtMs - lastChanceMs, floorAtMs));
  }

  #rotateIn(ms: number, lastChanceAtMs: number): void {
    this.#rotation = setTimeout(() => void this.#rotate(lastChanceAtMs), timerMs(ms));
    this.#rotation.unref();
  }

  /** @param lastChanceAtMs when to move whether there is a pause or not */
  async #rotate(lastChanceAtMs: number): Promise<void> {
    const leaving = this.#connection;
    if (this.#closing.signal.aborted || !leaving) return;
    if (!this.#listener.isPause() && this.#nowMs() < lastChanceAtMs) {
      this.#rotateIn(ROTATION_PAUSE_POLL_MS, lastChanceAtMs);
      return;
    }
    try {
      const { maxOutageMs } = this.#options.policy;
      await this.#replace(leaving, this.#nowMs(), 1, this.#nowMs() + maxOutageMs, lastChanceAtMs);
    } catch {
      // The old connection still serves; if the server ends it first, that is a loss like any other.
      if (this.#connection !== leaving) return;
      this.#failedRotations += 1;
      this.#rotateIn(this.#attempts.backoffMs(this.#failedRotations + 1), lastChanceAtMs);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#closing;
      if (signal.aborted) {
        resolve();
        return;
      }
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
