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
  response: Delivery['response'];
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
    this.response = undefined;
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
  /** An answer with entries that is on its way to a client that does not acknowledge. */
  #unwritten: OutboxDelivery | undefined;

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
    const { outbox, guard, standing, onAudio } = this.#options;
    this.#cutOffUnwritten(ack);
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
    const delivery = new OutboxDelivery(answer, batch, kind, isLast, (settled, isWritten) => {
      guard.run(() => this.#onSettled(settled, isWritten));
    });
    if (ack === undefined && batch.entries.length > 0) this.#unwritten = delivery;
    return delivery;
  }

  /** As `now`, but waits for something to come. A poll whose place another has taken answers without anything. */
  async poll(query: DeliveryQuery, timeoutMs: number, client: Departure): Promise<Delivery> {
    this.#waiting.supersede();
    this.#cutOffUnwritten(query.ack);
    // What has arrived has arrived now, not when this poll is answered.
    this.#options.outbox.acknowledge(query.ack);
    const endsAtMs = performance.now() + timeoutMs;
    while (!this.#hasNews(query.ack)) {
      const why = await this.#waiting.wait(endsAtMs - performance.now(), client);
      if (why === 'timeout') break;
      if (why !== 'woken') return this.#nothing(query.ack);
    }
    return this.now('poll', query);
  }

  #onSettled(delivery: OutboxDelivery, isWritten: boolean): void {
    if (this.#unwritten === delivery) this.#unwritten = undefined;
    if (isWritten) {
      delivery.batch.written();
      if (delivery.isLast) this.#options.onLastAnswer();
    } else {
      if (delivery.answer.interrupted) this.giveBackInterrupted(delivery.kind);
      delivery.batch.aborted();
    }
  }

  #hasNews(ack: number | undefined): boolean {
    const { outbox, standing } = this.#options;
    return outbox.hasEntries(ack) || this.#untold.has('poll') || (outbox.isEmpty && standing().isOver);
  }

  #nothing(ack: number | undefined): Delivery {
    const { outbox } = this.#options;
    const answer = { seq: outbox.restingSeq(ack), generation: outbox.generation, hasMore: true };
    return { answer, written() {}, aborted() {} };
  }

  /**
   * A client that asks anew before it has all of an answer has given that answer up. It cannot say how far it came, so
   * the answer is broken off and all of it delivered again.
   */
  #cutOffUnwritten(ack: number | undefined): void {
    if (ack === undefined) this.#unwritten?.response?.destroy();
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
