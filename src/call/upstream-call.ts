import { BusError, Status } from '../bus/index.ts';
import { monotonicNowMs } from '../clock.ts';
import type { ReplyAudio } from '../upstream/host.ts';
import type { OpenRequest, ReportedEvent, SessionCommand } from '../workers/session/service.ts';
import type { SessionWorkers, WorkerLease } from '../workers/session/workers.ts';
import { CallError } from './errors.ts';
import type { CallerAudioFeed } from './up/caller-audio-feed.ts';

/** Told what comes of a session on a worker. */
export interface UpstreamListener {
  onEvent(event: ReportedEvent): void;
  /** What it returns makes the worker hold back. */
  onAudio(audio: ReplyAudio): Promise<void> | undefined;
  onWorkerLost(error: Error): void;
  /** A stream of the session failed, by what the worker did or by what a listener threw: nothing more comes of it. */
  onFailed(error: Error): void;
}

/** Workers that a call may lose. A call that loses more may be what kills them, and others are on them too. */
const MAX_WORKERS_LOST = 3;

/** Between the end of a worker's port and that of its thread. */
const LOSS_TOLD_WITHIN_MS = 5_000;

/** One call's side of its session on a worker: the lease, the streams, the commands. */
export class UpstreamCall {
  readonly #sessionKey: string;
  readonly #workers: Pick<SessionWorkers, 'lease'>;
  readonly #feed: CallerAudioFeed;
  readonly #closing = new AbortController();
  #lease: WorkerLease | undefined;
  #workersLost = 0;
  #isResponding = false;

  /** @param feed goes to whichever worker holds the session */
  constructor(sessionKey: string, workers: Pick<SessionWorkers, 'lease'>, feed: CallerAudioFeed) {
    this.#sessionKey = sessionKey;
    this.#workers = workers;
    this.#feed = feed;
  }

  /** Whether the agent had more to say when the worker was lost, and nobody has interrupted it. */
  get isCutShort(): boolean {
    return this.#isResponding;
  }

  /** The agent had more to say in another process. */
  cutShort(): void {
    this.#isResponding = true;
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
  async open(
    request: Omit<OpenRequest, 'sessionKey' | 'isCutShort'>,
    timeoutMs: number,
    listener: UpstreamListener,
  ): Promise<void> {
    if (this.#workersLost > MAX_WORKERS_LOST) {
      throw new BusError(Status.Unavailable, `${this.#workersLost} session workers of this call died`);
    }
    const sessionKey = this.#sessionKey;
    const endsAtMs = monotonicNowMs() + timeoutMs;
    const lost = Promise.withResolvers<void>();
    const onLost = (error: Error) => {
      lost.resolve();
      // Who has given its place back need not know.
      if (this.#lease !== lease) return;
      this.#feed.attach(undefined);
      this.#lease = undefined;
      this.#workersLost += 1;
      listener.onWorkerLost(error);
    };
    const lease = await this.#workers.lease({ onLost }, timeoutMs, this.#closing.signal);
    if (this.#closing.signal.aborted) {
      // Closed between the grant and this line.
      lease.release();
      throw new BusError(Status.Cancelled, 'the session was closed before it was open');
    }
    this.#lease = lease;
    const { client } = lease;
    // A call whose events no longer arrive would go on for ever, deaf to its own end.
    const onStreamFailed = async (error: unknown) => {
      // The loss of a worker is told by its lease, a moment later, and the call may go on with another.
      if (isWorkerLost(error)) await orSoon(lost.promise);
      if (this.#lease === lease) listener.onFailed(BusError.from(error));
    };
    client
      .events({ sessionKey })
      .onItem((event) => {
        this.#followResponse(event);
        listener.onEvent(event);
      })
      .catch(onStreamFailed);
    client
      .downlink({ sessionKey })
      .onItem((audio) => listener.onAudio(audio))
      .catch(onStreamFailed);
    const uplink = client.uplink({ sessionKey });
    uplink.answer.catch(ignore);
    try {
      const { isCutShort } = this;
      const remainingMs = Math.max(1, endsAtMs - monotonicNowMs());
      await client.open({ ...request, sessionKey, isCutShort }, { timeoutMs: remainingMs });
      this.#feed.attach(uplink.sink);
    } catch (error) {
      // The bus knows of a worker's death before its thread has ended; then the session goes to another.
      if (this.#lease === lease && isWorkerLost(error)) {
        await orSoon(lost.promise);
      }
      if (this.#lease === lease) await this.#giveBack();
      throw error;
    }
  }

  command(command: SessionCommand): void {
    this.#lease?.client.command({ sessionKey: this.#sessionKey, command }).catch(ignore);
  }

  #followResponse({ type }: ReportedEvent): void {
    switch (type) {
      case 'response_started':
        this.#isResponding = true;
        break;
      // Whoever speaks does not wait for the rest; what a new connection does not ask for anew is not missing.
      case 'speech_started':
      case 'response_done':
      case 'upstream_restored':
      case 'rotated':
        this.#isResponding = false;
        break;
    }
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
    try {
      await lease.client.close({ sessionKey: this.#sessionKey }, { timeoutMs: 5_000 });
    } catch {
      // A worker that no longer answers has nothing left to close.
    }
    lease.release();
  }
}

function ignore(): void {}

/** A worker whose port is gone is known to be lost a moment later. */
function orSoon(lost: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LOSS_TOLD_WITHIN_MS);
    timer.unref();
    void lost.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

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
