import { setTimeout } from 'node:timers/promises';
import { BusError, Status } from '../bus/index.ts';
import { monotonicNowMs } from '../clock.ts';
import type { ReplyAudio } from '../upstream/host.ts';
import type { OpenRequest, ReportedEvent, SessionCommand } from '../workers/session/service.ts';
import type { SessionWorkers, WorkerLease } from '../workers/session/workers.ts';
import { CallError } from './errors.ts';
import { OpenReplies } from './reply/open-replies.ts';
import type { Uplink } from './up/uplink.ts';

export interface UpstreamCallHandlers {
  readonly onEvent: (event: ReportedEvent) => void;
  /** What it returns makes the worker hold back. */
  readonly onAudio: (audio: ReplyAudio) => Promise<void> | undefined;
  readonly onWorkerLost: (error: Error) => void;
  /** A stream of the session failed, by what the worker did or by what a handler threw: nothing more comes of it. */
  readonly onFailed: (error: Error) => void;
}

/** Workers that a call may lose. A call that loses more may be what kills them, and others are on them too. */
const MAX_WORKERS_LOST = 3;

/** Between the end of a worker's port and that of its thread. */
const LOSS_TOLD_WITHIN_MS = 5_000;

/** One call's side of its session on a worker: the lease, the streams, the commands. */
export class UpstreamCall {
  readonly #sessionKey: string;
  readonly #workers: SessionWorkers;
  readonly #uplink: Uplink;
  readonly #handlers: UpstreamCallHandlers;
  readonly #replies = new OpenReplies();
  readonly #closing = new AbortController();
  #lease: WorkerLease | undefined;
  #workersLost = 0;

  constructor(sessionKey: string, workers: SessionWorkers, uplink: Uplink, handlers: UpstreamCallHandlers) {
    this.#sessionKey = sessionKey;
    this.#workers = workers;
    this.#uplink = uplink;
    this.#handlers = handlers;
  }

  /** Whether the agent had more to say when the worker was lost. */
  get isCutShort(): boolean {
    return this.#replies.isCutShort;
  }

  /** Id of the worker that holds the session; undefined while none does. */
  get workerId(): number | undefined {
    return this.#lease?.workerId;
  }

  /** Workers that died under this call. */
  get workersLost(): number {
    return this.#workersLost;
  }

  /**
   * Takes a place on a worker and connects, in `timeoutMs` in all.
   * @throws {BusError} as the worker says, or because there is none, or because the call has lost too many of them; no
   * place is kept then
   */
  async open(request: Omit<OpenRequest, 'sessionKey'>, timeoutMs: number): Promise<void> {
    if (this.#workersLost > MAX_WORKERS_LOST) {
      throw new BusError(Status.Unavailable, `${this.#workersLost} session workers of this call died`);
    }
    const { onWorkerLost } = this.#handlers;
    const sessionKey = this.#sessionKey;
    const endsAtMs = monotonicNowMs() + timeoutMs;
    const lease = await this.#workers.lease(timeoutMs, this.#closing.signal);
    if (this.#closing.signal.aborted) {
      // Closed between the grant and this line.
      lease.release();
      throw new BusError(Status.Cancelled, 'the session was closed before it was open');
    }
    this.#lease = lease;
    const lost = Promise.withResolvers<void>();
    lease.onLost = (error) => {
      lost.resolve();
      this.#uplink.attach(undefined);
      this.#lease = undefined;
      this.#workersLost += 1;
      // What it did not finish ends where it is.
      for (const reply of this.#replies.finish()) {
        this.#handlers.onEvent({ type: 'assistant_text', ...reply, atMs: monotonicNowMs() });
      }
      onWorkerLost(error);
    };
    const { client } = lease;
    // A call whose events no longer arrive would go on for ever, deaf to its own end.
    const onStreamFailed = (error: unknown) => void this.#onStreamFailed(lease, lost.promise, error);
    client
      .events({ sessionKey })
      .onItem((event) => this.#onEvent(event))
      .catch(onStreamFailed);
    client
      .downlink({ sessionKey })
      .onItem((audio) => this.#onAudio(audio))
      .catch(onStreamFailed);
    const uplink = client.uplink({ sessionKey });
    uplink.answer.catch(ignore);
    try {
      const { handedReplies, isCutShort } = this.#replies;
      const remainingMs = Math.max(1, endsAtMs - monotonicNowMs());
      await client.open({ sessionKey, handedReplies, isCutShort, ...request }, { timeoutMs: remainingMs });
      this.#uplink.attach(uplink.sink);
    } catch (error) {
      // The bus knows of a worker's death before its thread has ended; then the session goes to another.
      if (this.#lease === lease && isWorkerLost(error)) {
        await Promise.race([lost.promise, setTimeout(LOSS_TOLD_WITHIN_MS, undefined, { ref: false })]);
      }
      if (this.#lease === lease) await this.#giveBack();
      throw error;
    }
  }

  command(command: SessionCommand): void {
    this.#lease?.client.command({ sessionKey: this.#sessionKey, command }).catch(ignore);
  }

  #onEvent(event: ReportedEvent): void {
    this.#replies.event(event);
    this.#handlers.onEvent(event);
  }

  #onAudio(audio: ReplyAudio): Promise<void> | undefined {
    this.#replies.audio(audio);
    return this.#handlers.onAudio(audio);
  }

  async #onStreamFailed(lease: WorkerLease, lost: Promise<void>, error: unknown): Promise<void> {
    // The loss of a worker is told by its lease, a moment later, and the call may go on with another.
    if (isWorkerLost(error)) await Promise.race([lost, setTimeout(LOSS_TOLD_WITHIN_MS, undefined, { ref: false })]);
    if (this.#lease === lease) this.#handlers.onFailed(BusError.from(error));
  }

  /** Ends the session on the worker and gives its place back. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
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

/** Whether an error is the bus's own and not the worker's. */
function isWorkerLost(error: unknown): boolean {
  const { code, cause } = BusError.from(error);
  return code === Status.Unavailable && cause instanceof BusError;
}

/** What is told of a session that could not be opened. */
export function toOpenError(
  error: unknown,
  timeoutMs: number,
): CallError<'upstream_timeout' | 'upstream_refused' | 'internal'> {
  const { code, message } = BusError.from(error);
  // Its log line tells of a lost thread; the client need not know.
  switch (isWorkerLost(error) ? Status.Internal : code) {
    case Status.DeadlineExceeded:
      return new CallError(
        'upstream_timeout',
        { why: `the AI was not ready within ${timeoutMs} ms` },
        { cause: error },
      );
    case Status.FailedPrecondition:
    case Status.ResourceExhausted:
    case Status.Unavailable:
      return new CallError('upstream_refused', { why: message }, { cause: error });
    default:
      return new CallError(
        'internal',
        { why: 'the session could not be opened; the log has the reason' },
        { cause: error },
      );
  }
}
