import type { Clock } from '../clock.ts';
import type { UpstreamTarget } from '../upstream/ai-conversation.ts';
import type { ConnectPermit, ConversationHost } from '../upstream/host.ts';
import type { ReconnectPolicy } from '../upstream/reconnect-policy.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { connectRealtime, type RealtimeConnection } from './connection.ts';
import type { RealtimeSettings } from './settings.ts';

export interface ConnectorOptions {
  readonly target: UpstreamTarget;
  readonly policy: Pick<ReconnectPolicy, 'connectTimeoutMs' | 'pingIntervalMs'>;
  readonly host: Pick<ConversationHost, 'connectPermit'>;
  readonly nowMs: Clock;
}

/** An attempt that had less time than this and used it up says nothing of the upstream. */
const FAIR_ATTEMPT_MS = 2_500;

/** Makes one session's connections, each when the gateway permits it. */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #signal: AbortSignal;

  /** @param signal aborts when the session is over */
  constructor(options: ConnectorOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /**
   * @param endsAtMs by when it is to be connected, the wait for the permit included; connecting itself takes at most
   * `connectTimeoutMs`
   * @throws {UpstreamError}
   */
  async connect(settings: RealtimeSettings, endsAtMs: number): Promise<RealtimeConnection> {
    const { target, policy, nowMs } = this.#options;
    const permit = await this.#permit(endsAtMs);
    const timeoutMs = Math.min(policy.connectTimeoutMs, endsAtMs - nowMs());
    if (this.#signal.aborted || timeoutMs <= 0) {
      permit.settle('unused');
      throw this.#signal.aborted ? givenUp() : tooLate();
    }
    try {
      const { pingIntervalMs } = policy;
      const connection = await connectRealtime({
        target,
        settings,
        timeoutMs,
        pingIntervalMs,
        signal: this.#signal,
        nowMs,
      });
      if (connection.failure) throw connection.failure;
      permit.settle('ok');
      return connection;
    } catch (error) {
      const failure = toUpstreamError(error);
      const hadTime = timeoutMs >= Math.min(FAIR_ATTEMPT_MS, policy.connectTimeoutMs);
      const isOurs = this.#signal.aborted || (failure.code === 'connect_timeout' && !hadTime);
      permit.settle(isOurs ? 'given_up' : failure.class);
      throw error;
    }
  }

  /** @throws {UpstreamError} when there is no permit to connect by `endsAtMs` */
  async #permit(endsAtMs: number): Promise<ConnectPermit> {
    if (this.#signal.aborted) throw givenUp();
    const wait = new AbortController();
    const timer = setTimeout(() => wait.abort(tooLate()), Math.max(0, endsAtMs - this.#options.nowMs()));
    const onAbort = () => wait.abort(givenUp());
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#options.host.connectPermit({ signal: wait.signal, endsAtMs });
    } catch (error) {
      throw wait.signal.aborted ? wait.signal.reason : error;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', onAbort);
    }
  }
}

/** What ends an attempt that nobody waits for any more. */
export function givenUp(): UpstreamError {
  return new UpstreamError('timeout', 'aborted', 'connecting was given up');
}

function tooLate(): UpstreamError {
  return new UpstreamError('timeout', 'connect_queue', 'there was no permit to connect in time');
}

export function toUpstreamError(error: unknown): UpstreamError {
  if (error instanceof UpstreamError) return error;
  return new UpstreamError('unavailable', 'unavailable', (error as Error).message, { cause: error });
}
