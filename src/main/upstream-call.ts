import { BusError, Status } from '../bus/index.ts';
import { ApiError } from '../http/errors.ts';
import type { ReplyAudio } from '../realtime/host.ts';
import type { OpenRequest, ReportedEvent, SessionCommand } from '../workers/session-service.ts';
import type { SessionWorkers, WorkerLease } from './session-workers.ts';
import type { Uplink } from './uplink.ts';

export interface UpstreamCallHandlers {
  readonly onEvent: (event: ReportedEvent) => void;
  /** What it returns makes the worker hold back. */
  readonly onAudio: (audio: ReplyAudio) => Promise<void> | undefined;
  readonly onWorkerLost: (error: Error) => void;
}

/** One call's side of its session on a worker: the lease, the streams, the commands. */
export class UpstreamCall {
  readonly #sessionKey: string;
  readonly #workers: SessionWorkers;
  readonly #uplink: Uplink;
  readonly #handlers: UpstreamCallHandlers;
  #lease: WorkerLease | undefined;

  constructor(sessionKey: string, workers: SessionWorkers, uplink: Uplink, handlers: UpstreamCallHandlers) {
    this.#sessionKey = sessionKey;
    this.#workers = workers;
    this.#uplink = uplink;
    this.#handlers = handlers;
  }

  /** Id of the worker that holds the session; undefined while none does. */
  get workerId(): number | undefined {
    return this.#lease?.workerId;
  }

  /**
   * Takes a place on a worker and connects.
   * @throws {BusError} as the worker says; no place is kept then
   */
  async open(request: Omit<OpenRequest, 'sessionKey'>, timeoutMs: number): Promise<void> {
    const { onEvent, onAudio, onWorkerLost } = this.#handlers;
    const sessionKey = this.#sessionKey;
    const lease = this.#workers.lease();
    this.#lease = lease;
    lease.onLost = (error) => {
      this.#uplink.attach(undefined);
      this.#lease = undefined;
      onWorkerLost(error);
    };
    const { client } = lease;
    // How a stream ends is told by events, or by the loss of the worker.
    client.events({ sessionKey }).onItem(onEvent).catch(ignore);
    client.downlink({ sessionKey }).onItem(onAudio).catch(ignore);
    const uplink = client.uplink({ sessionKey });
    uplink.answer.catch(ignore);
    try {
      await client.open({ sessionKey, ...request }, { timeoutMs });
      this.#uplink.attach(uplink.sink);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  command(command: SessionCommand): void {
    this.#lease?.client.command({ sessionKey: this.#sessionKey, command }).catch(ignore);
  }

  /** Ends the session on the worker and gives its place back. Idempotent. */
  async close(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    if (!lease) return;
    lease.onLost = () => {};
    try {
      await lease.client.close({ sessionKey: this.#sessionKey }, { timeoutMs: 5_000 });
    } catch {
      // A worker that no longer answers has nothing left to close.
    }
    lease.release();
  }
}

function ignore(): void {}

/** What a client is told of a session that could not be opened. */
export function toCreateError(error: unknown, timeoutMs: number): ApiError {
  const { code, message } = BusError.from(error);
  switch (code) {
    case Status.DeadlineExceeded:
      return new ApiError('upstream_timeout', `the AI was not ready within ${timeoutMs} ms`, {
        cause: error,
        retryAfterSeconds: 1,
      });
    case Status.FailedPrecondition:
    case Status.ResourceExhausted:
    case Status.Unavailable:
      return new ApiError('upstream_refused', message, { cause: error });
    default:
      return new ApiError('internal', 'the session could not be opened; the log has the reason', { cause: error });
  }
}
