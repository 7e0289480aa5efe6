import { monotonicNowMs } from '../../clock.ts';
import type { CallStreams } from '../duplex/streams.ts';
import type { EndReason } from '../end-reason.ts';
import type { CallGuard } from '../guard.ts';
import type { CallObserver } from '../record/observer.ts';
import type { CallStanding } from '../standing.ts';
import type { AudioEntry, CallAction, Outbox, OutboxBatch, TakeOptions } from './outbox.ts';
import type { Departure, PollWait } from './poll-wait.ts';

/** Which kind of request reads: an interruption is told once to each. */
export type DeliveryKind = 'poll' | 'stream';

/** What a client says of its end: what has arrived, and what of it the caller has heard. */
export interface ClientReport {
  readonly ack?: number | undefined;
  /** Milliseconds of `generation`'s audio. */
  readonly playedMs?: number | undefined;
  /** Without the present one `playedMs` is ignored. */
  readonly generation?: number | undefined;
}

/** What is told with one answer. */
interface Content {
  readonly audio: readonly AudioEntry[];
  /** Lines of the transcript. */
  readonly lines: readonly string[];
  readonly actions: readonly CallAction[];
  /** Of the last entry in it, or what rests. */
  readonly seq: number;
  readonly generation: number;
  /** It is the first of its kind since the generation rose. */
  readonly isInterruption: boolean;
  /** Nothing more comes. */
  readonly isLast: boolean;
  readonly endReason?: EndReason | undefined;
  readonly error?: string | undefined;
}

/**
 * What one answer carries of a call's outbox. Exactly one of `written` and `aborted` is to be called, once the answer
 * has been written whole or the client is gone.
 */
export interface Delivery extends Content {
  written(): void;
  aborted(): void;
}

export interface DeliveriesListener {
  /** The client was told that nothing more comes. */
  onLastAnswer(): void;
}

export interface DeliveriesOptions {
  readonly outbox: Outbox;
  /** The outbox wakes it. */
  readonly polls: PollWait;
  readonly standing: Pick<CallStanding, 'isSaidOut' | 'endReason' | 'error'>;
  /** What they play is queued for them: answers carry nothing of it. */
  readonly streams: Pick<CallStreams, 'isPlaying'>;
  readonly observer: Pick<CallObserver, 'replyHandedOver'>;
  readonly guard: CallGuard;
  readonly listener: DeliveriesListener;
}

/** Builds the answers that carry a call's outbox to its client. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  /** Kinds of answers that have not yet told of the last interruption. */
  #untold = new Set<DeliveryKind>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Something may be there to answer with. */
  wake(): void {
    this.#options.polls.wake();
  }

  /** A poll that waits is answered without anything. */
  releasePoll(): void {
    this.#options.polls.supersede();
  }

  /** The generation rose: the first answer of each kind says so. */
  interrupted(): void {
    this.#untold = new Set(['poll', 'stream']);
    this.wake();
  }

  takeInterrupted(kind: DeliveryKind): boolean {
    return this.#untold.delete(kind);
  }

  /** The answer that was to tell of the interruption is lost. */
  giveBackInterrupted(kind: DeliveryKind): void {
    this.#untold.add(kind);
  }

  /** Whether a poll waits for something to come. */
  get isAwaited(): boolean {
    return this.#options.polls.isWaiting;
  }

  /** What is queued now. */
  now(kind: DeliveryKind, { ack, maxMs }: TakeOptions): Delivery {
    const { outbox, guard, standing, streams, observer } = this.#options;
    if (streams.isPlaying) return this.#nothing(ack);
    const batch = outbox.take({ ack, maxMs });
    const audio = batch.entries.filter((entry) => entry.kind === 'audio');
    if (audio.length > 0) observer.replyHandedOver(audio, monotonicNowMs());
    const { isSaidOut, endReason, error } = standing;
    const isLast = isSaidOut && batch.entries.length === 0 && outbox.isEmpty;
    const isInterruption = this.takeInterrupted(kind);
    const settle = (isWritten: boolean) =>
      guard.run(() => this.#settle(batch, kind, { isInterruption, isLast }, isWritten));
    return {
      audio,
      lines: batch.entries.filter((entry) => entry.kind === 'transcript').map(({ line }) => line),
      actions: batch.entries.filter((entry) => entry.kind === 'action').map(({ action }) => action),
      seq: batch.entries.at(-1)?.seq ?? outbox.restingSeq(ack),
      generation: outbox.generation,
      isInterruption,
      isLast,
      ...(isLast ? { endReason, error } : {}),
      written: () => settle(true),
      aborted: () => settle(false),
    };
  }

  /** As `now`, but waits for something to come. A poll whose place another has taken answers without anything. */
  async poll(query: TakeOptions, timeoutMs: number, client: Departure): Promise<Delivery> {
    this.#options.polls.supersede();
    // What has arrived has arrived now, not when this poll is answered.
    this.#options.outbox.acknowledge(query.ack);
    const endsAtMs = monotonicNowMs() + timeoutMs;
    while (!this.#hasNews(query.ack)) {
      const leftMs = endsAtMs - monotonicNowMs();
      const resendInMs = query.ack === undefined ? undefined : this.#options.outbox.resendInMs(query.ack);
      const why = await this.#options.polls.wait(Math.min(leftMs, resendInMs ?? leftMs), client);
      if (why === 'timeout' && leftMs <= (resendInMs ?? leftMs)) break;
      if (why === 'superseded' || why === 'gone') return this.#nothing(query.ack);
    }
    return this.now('poll', query);
  }

  #settle(
    batch: OutboxBatch,
    kind: DeliveryKind,
    { isInterruption, isLast }: Pick<Content, 'isInterruption' | 'isLast'>,
    isWritten: boolean,
  ): void {
    if (isWritten) {
      batch.written();
      if (isLast) this.#options.listener.onLastAnswer();
    } else {
      if (isInterruption) this.giveBackInterrupted(kind);
      batch.aborted();
    }
  }

  #hasNews(ack: number | undefined): boolean {
    const { outbox, standing, streams } = this.#options;
    if (streams.isPlaying) return false;
    return outbox.hasEntries(ack) || this.#untold.has('poll') || (outbox.isEmpty && standing.isSaidOut);
  }

  #nothing(ack: number | undefined): Delivery {
    const { outbox } = this.#options;
    return {
      audio: [],
      lines: [],
      actions: [],
      seq: outbox.restingSeq(ack),
      generation: outbox.generation,
      isInterruption: false,
      isLast: false,
      written() {},
      aborted() {},
    };
  }
}
