import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { type Clock, timerMs } from '../clock.ts';
import type { CallerAudio, UpstreamTarget } from '../upstream/ai-conversation.ts';
import { AudioRing } from '../upstream/audio-ring.ts';
import type { ReplayItem } from '../upstream/conversation.ts';
import type { ConnectPermit, ConnectRequest } from '../upstream/host.ts';
import type { Misfit } from '../upstream/misfit.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import type { UpstreamError } from '../upstream/upstream-error.ts';
import { Attempts } from './attempts.ts';
import type { RealtimeConnection, TranscriptionRefusal } from './connection.ts';
import { Connector, givenUp, toUpstreamError } from './connector.ts';
import type { RawEvent } from './incoming.ts';
import { replayEvents } from './replay.ts';
import { sessionLife } from './session-life.ts';
import type { RealtimeSettings } from './settings.ts';

const ROTATION_PAUSE_POLL_MS = 250;
/** A session that has found no pause this long before the server's end moves in the middle of things. */
const ROTATION_LAST_CHANCE_MS = 30_000;
/** Of a short-lived session the last chance is this share. */
const ROTATION_LAST_SHARE = 1 / 8;

export interface UpstreamLinkOptions {
  readonly target: UpstreamTarget;
  readonly settings: RealtimeSettings;
  readonly policy: ReconnectPolicy;
  readonly connectPermit: (request: ConnectRequest) => Promise<ConnectPermit>;
  readonly history: () => Promise<readonly ReplayItem[]>;
  /** Whether nobody speaks and nothing is being answered, so that moving goes unnoticed. */
  readonly isPause: () => boolean;
  readonly onEvent: (event: RawEvent) => void;
  readonly onLost: (error: UpstreamError) => void;
  /** A new connection knows the conversation. `replayed` is what it was told. */
  readonly onRestored: (info: Restored) => void;
  readonly onFailed: (error: UpstreamError) => void;
  /** The server named an end of its session that cannot be; `expiresAt` as it came. */
  readonly onOddExpiry: (expiresAt: unknown) => void;
  readonly nowMs: Clock;
  /** The server does not transcribe as it was asked to: nothing is transcribed from here on. Told once. */
  readonly onTranscriptionRefused: (refusal: TranscriptionRefusal) => void;
  /** The server does not run the session as it was asked to. */
  readonly onMisfit: (misfit: Misfit) => void;
}

export interface Restored {
  readonly cause: 'lost' | 'rotated';
  readonly replayed: readonly ReplayItem[];
  readonly tookMs: number;
  readonly attempt: number;
  readonly droppedAudioMs: number;
}

/**
 * One session's way to the upstream, over as many connections as it takes: a lost one is replaced and told the
 * conversation, one that the server is about to end is replaced before. Caller audio waits in a short ring meanwhile.
 */
export class UpstreamLink {
  readonly #options: UpstreamLinkOptions;
  readonly #nowMs: Clock;
  readonly #connector: Connector;
  readonly #attempts: Attempts;
  readonly #ring: AudioRing;
  readonly #closing = new AbortController();
  #settings: RealtimeSettings;
  #connection: RealtimeConnection | undefined;
  #connectedAtMs = 0;
  #rotatedAtMs = Number.NEGATIVE_INFINITY;
  #rotation: NodeJS.Timeout | undefined;
  #failedRotations = 0;
  #isTranscriptionRefused = false;

  constructor(options: UpstreamLinkOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs;
    this.#settings = options.settings;
    this.#connector = new Connector(options, this.#closing.signal);
    this.#attempts = new Attempts(options.policy);
    this.#ring = new AudioRing(options.policy.keepAudioMs);
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
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

  /** The settings of connections made from now on. */
  reconfigure(settings: RealtimeSettings): void {
    this.#settings = settings;
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
    const settings = this.#isTranscriptionRefused ? { ...this.#settings, transcription: null } : this.#settings;
    const connection = await this.#connector.connect(settings, endsAt);
    if (connection.transcriptionRefusal && !this.#isTranscriptionRefused) {
      this.#isTranscriptionRefused = true;
      this.#options.onTranscriptionRefused(connection.transcriptionRefusal);
    }
    if (connection.misfit) this.#options.onMisfit(connection.misfit);
    return connection;
  }

  #adopt(connection: RealtimeConnection): { droppedMs: number } {
    this.#connection = connection;
    this.#connectedAtMs = this.#nowMs();
    connection.onEvent = (event) => this.#options.onEvent(event);
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
      this.#options.onFailed(error);
      return;
    }
    this.#options.onLost(error);
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
    this.#options.onFailed(failure);
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
      !this.#options.isPause() &&
      this.#nowMs() < waitForPauseUntilMs;
    do {
      while (mayWait()) await this.#sleep(ROTATION_PAUSE_POLL_MS / 5);
      replayed = await this.#options.history();
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
    this.#options.onRestored({
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
    const { policy, onOddExpiry } = this.#options;
    const { rotateBeforeMs, rotateFloorMs } = policy;
    const { lifeMs, isOdd } = sessionLife(expiry, policy);
    if (isOdd) onOddExpiry(expiry?.expiresAt);
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
    if (!this.#options.isPause() && this.#nowMs() < lastChanceAtMs) {
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
