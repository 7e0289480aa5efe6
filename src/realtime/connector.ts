import { connectRealtime, type RealtimeConnection, type UpstreamTarget } from './connection.ts';
import type { ReconnectPolicy } from './reconnect-policy.ts';
import type { RealtimeSettings } from './settings.ts';
import { UpstreamError, type UpstreamErrorClass } from './upstream-error.ts';

export interface ConnectorOptions {
  readonly target: UpstreamTarget;
  readonly policy: Pick<ReconnectPolicy, 'connectTimeoutMs' | 'pingIntervalMs'>;
  /** Resolves when this session may connect. */
  readonly connectPermit: () => Promise<void>;
  /** Told what became of a permitted attempt. */
  readonly connectResult: (result: 'ok' | UpstreamErrorClass) => void;
}

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
   * @param endsAt Unix milliseconds by which it is to be connected, the wait for the permit included; connecting itself
   * takes at most `connectTimeoutMs`
   * @throws {UpstreamError}
   */
  async connect(settings: RealtimeSettings, endsAt: number): Promise<RealtimeConnection> {
    const { target, policy, connectResult } = this.#options;
    await this.#permit(endsAt);
    try {
      const connection = await connectRealtime({
        target,
        settings,
        timeoutMs: Math.max(1, Math.min(policy.connectTimeoutMs, endsAt - Date.now())),
        pingIntervalMs: policy.pingIntervalMs,
        signal: this.#signal,
      });
      connectResult('ok');
      if (connection.failure) throw connection.failure;
      return connection;
    } catch (error) {
      // An attempt that we gave up says nothing of the upstream.
      if (!this.#signal.aborted) connectResult(toUpstreamError(error).class);
      throw error;
    }
  }

  /** @throws {UpstreamError} when there is no permit to connect by `endsAt` */
  async #permit(endsAt: number): Promise<void> {
    if (this.#signal.aborted) throw givenUp();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const error = new UpstreamError('timeout', 'connect_queue', 'there was no permit to connect in time');
    const timer = setTimeout(reject, Math.max(0, endsAt - Date.now()), error);
    const onAbort = () => reject(givenUp());
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([this.#options.connectPermit(), late]);
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

export function toUpstreamError(error: unknown): UpstreamError {
  if (error instanceof UpstreamError) return error;
  return new UpstreamError('unavailable', 'unavailable', (error as Error).message, { cause: error });
}
