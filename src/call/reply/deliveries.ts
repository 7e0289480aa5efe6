import { monotonicNowMs } from '../../clock.ts';
import type { Delivery, DeliveryKind, Departure } from '../../http/gateway.ts';
import type { DeliveryQuery, EndReason, PollAnswer } from '../../http/schemas.ts';
import type { CallGuard } from '../guard.ts';
import type { AudioEntry, Outbox, OutboxBatch, OutboxEntry } from './outbox.ts';
import { PollWait } from './poll-wait.ts';

/** How a call stands, as its answers tell it. */
export interface CallStanding {
  /** The session is over and nothing more comes; what is queued is still delivered. */
  readonly isOver: boolean;
  readonly endReason?: EndReason | undefined;
  readonly error?: string | undefined;
}

export interface DeliveriesOptions {
  readonly outbox: Outbox;
  readonly guard: CallGuard;
  readonly standing: () => CallStanding;
  /** A stream plays what is queued: answers carry nothing of it. */
  readonly isStreamed: () => boolean;
  /** Told the audio of each answer when it is built. */
  readonly onAudio: (entries: readonly AudioEntry[]) => void;
  /** The client was told that nothing more comes. */
  readonly onLastAnswer: () => void;
}

/** An answer with what was taken out of the outbox for it. */
class OutboxDelivery implements Delivery {
  readonly answer: PollAnswer;
  readonly batch: OutboxBatch;
  readonly kind: DeliveryKind;
  readonly isLast: boolean;
  readonly #onSettled: (delivery: OutboxDelivery, isWritten: boolean) => void;

  constructor(
    answer: PollAnswer,
    batch: OutboxBatch,
    kind: DeliveryKind,
    isLast: boolean,
    onSettled: (delivery: OutboxDelivery, isWritten: boolean) => void,
  ) {
    this.answer = answer;
    this.batch = batch;
    this.kind = kind;
    this.isLast = isLast;
    this.#onSettled = onSettled;
  }

  written(): void {
    this.#onSettled(this, true);
  }

  aborted(): void {
    this.#onSettled(this, false);
  }
}

/** Builds the answers that carry a call's outbox to its client. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #waiting = new PollWait();
  /** Kinds of answers that have not yet told of the last interruption. */
  #untold = new Set<DeliveryKind>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Something may be there to answer with. */
  wake(): void {
    this.#waiting.wake();
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
    return this.#waiting.isWaiting;
  }

  /** What is queued now. */
  now(kind: DeliveryKind, { ack, maxMs }: DeliveryQuery): Delivery {
    const { outbox, guard, standing, isStreamed, onAudio } = this.#options;
    if (isStreamed()) return this.#nothing(ack);
    const batch = outbox.take({ ack, maxMs });
    const audio = batch.entries.filter((entry) => entry.kind === 'audio');
    if (audio.length > 0) onAudio(audio);
    const { isOver, endReason, error } = standing();
    const isLast = isOver && batch.entries.length === 0 && outbox.isEmpty;
    const interrupted = this.takeInterrupted(kind);
    const answer: PollAnswer = {
      ...contentOf(batch.entries, audio),
      seq: batch.entries.at(-1)?.seq ?? outbox.restingSeq(ack),
      generation: outbox.generation,
      ...(interrupted ? { interrupted: true as const } : {}),
      hasMore: !isLast,
      ...(isLast && endReason ? { endReason } : {}),
      ...(isLast && error ? { error } : {}),
    };
    return new OutboxDelivery(answer, batch, kind, isLast, (settled, isWritten) => {
      guard.run(() => this.#onSettled(settled, isWritten));
    });
  }

  /** As `now`, but waits for something to come. A poll whose place another has taken answers without anything. */
  async poll(query: DeliveryQuery, timeoutMs: number, client: Departure): Promise<Delivery> {
    this.#waiting.supersede();
    // What has arrived has arrived now, not when this poll is answered.
    this.#options.outbox.acknowledge(query.ack);
    const endsAtMs = monotonicNowMs() + timeoutMs;
    while (!this.#hasNews(query.ack)) {
      const leftMs = endsAtMs - monotonicNowMs();
      const resendInMs = query.ack === undefined ? undefined : this.#options.outbox.resendInMs(query.ack);
      const why = await this.#waiting.wait(Math.min(leftMs, resendInMs ?? leftMs), client);
      if (why === 'timeout' && leftMs <= (resendInMs ?? leftMs)) break;
      if (why === 'superseded' || why === 'gone') return this.#nothing(query.ack);
    }
    return this.now('poll', query);
  }

  #onSettled(delivery: OutboxDelivery, isWritten: boolean): void {
    if (isWritten) {
      delivery.batch.written();
      if (delivery.isLast) this.#options.onLastAnswer();
    } else {
      if (delivery.answer.interrupted) this.giveBackInterrupted(delivery.kind);
      delivery.batch.aborted();
    }
  }

  #hasNews(ack: number | undefined): boolean {
    const { outbox, standing, isStreamed } = this.#options;
    if (isStreamed()) return false;
    return outbox.hasEntries(ack) || this.#untold.has('poll') || (outbox.isEmpty && standing().isOver);
  }

  #nothing(ack: number | undefined): Delivery {
    const { outbox } = this.#options;
    const answer = { seq: outbox.restingSeq(ack), generation: outbox.generation, hasMore: true };
    return { answer, written() {}, aborted() {} };
  }
}

/** Fields without content are absent: an empty string is true in Lua. */
function contentOf(
  entries: readonly OutboxEntry[],
  audio: readonly AudioEntry[],
): Pick<PollAnswer, 'audio' | 'transcript' | 'actions'> {
  const lines = entries.filter((entry) => entry.kind === 'transcript').map(({ line }) => line);
  const actions = entries.filter((entry) => entry.kind === 'action').map(({ action }) => ({ ...action }));
  return {
    ...(audio.length > 0 ? { audio: audio.map(({ base64 }) => base64).join('') } : {}),
    ...(lines.length > 0 ? { transcript: lines.join('\n') } : {}),
    ...(actions.length > 0 ? { actions } : {}),
  };
}
