import { hrNowMs } from '../../clock.ts';
import type { CallGuard } from '../guard.ts';
import type { CallObserver } from '../record/observer.ts';
import { Downlink, type DownlinkOptions, type ReplyFrame } from './downlink.ts';
import { CallFiller } from './filler.ts';
import { type CallAction, Outbox, type OutboxEntry } from './outbox.ts';
import { PlaybackLedger } from './playback-ledger.ts';

export interface ReplyPathOptions {
  readonly newLane: DownlinkOptions['newLane'];
  readonly observer: CallObserver;
  readonly guard: CallGuard;
  /** Most reply audio that may be queued; past that the reply is cut. */
  readonly maxOutboxMs: number;
  /** What a caller hears who waits for a lost answer; absent: nothing. `afterMs`: of silence; absent: the default. */
  readonly filler?: { load(): Promise<readonly ReplyFrame[]>; readonly afterMs?: number | undefined } | undefined;
  /** More is known of an item's playback: its transcript line may be due. */
  readonly onProgress: (itemId: string) => void;
  readonly onActionDelivered: (action: CallAction) => void;
  /** Something may be there to answer with. */
  readonly onChange: () => void;
  /** A reply was cut, because nobody reads it; `keptMs` of it are still to be heard. */
  readonly onBacklog: (itemId: string, keptMs: number) => void;
}

/** One call's replies on their way to its client: converted, queued until they have arrived, and followed until heard. */
export class ReplyPath {
  readonly outbox: Outbox;
  readonly ledger = new PlaybackLedger();
  readonly downlink: Downlink;
  /** Absent where the profile has none. */
  readonly filler: CallFiller | undefined;
  readonly #options: ReplyPathOptions;

  constructor(options: ReplyPathOptions) {
    this.#options = options;
    const { observer, guard, filler } = options;
    this.outbox = new Outbox((entry) => this.#onDelivered(entry), options.onChange);
    this.downlink = new Downlink({
      newLane: options.newLane,
      guard,
      onReceived: (itemId, _audioMs, receivedAtMs) => observer.replyReceived(itemId, receivedAtMs),
      onFrames: (itemId, frames, receivedAtMs) => this.#onFrames(itemId, frames, receivedAtMs),
      onComplete: (itemId) => {
        this.ledger.completed(itemId);
        options.onProgress(itemId);
      },
      onRejected: (reason, message) => observer.replyRejected(reason, message),
    });
    this.filler =
      filler &&
      new CallFiller({
        load: () => filler.load(),
        guard,
        play: (itemId, frames) => this.#queue(itemId, frames, hrNowMs()),
        remainingMs: () => this.ledger.remainingMs(hrNowMs()) + this.outbox.queuedAudioMs,
        onStarted: () => observer.fillerStarted(),
        onFailed: (error) => observer.fillerFailed(error),
        afterMs: filler.afterMs,
      });
  }

  /** Resolves when all that came of the replies is in the outbox; what is open ends here. */
  async drained(): Promise<void> {
    this.downlink.endAll();
    await this.downlink.drained();
  }

  #onFrames(itemId: string, frames: readonly ReplyFrame[], receivedAtMs: number | undefined): void {
    const { observer, maxOutboxMs, onBacklog } = this.#options;
    const nowMs = hrNowMs();
    this.filler?.stop();
    this.#queue(itemId, frames, nowMs);
    observer.replyQueued(itemId, receivedAtMs, nowMs);
    if (this.outbox.queuedAudioMs <= maxOutboxMs) return;
    // Nobody listens to minutes of backlog.
    this.downlink.cut(itemId);
    onBacklog(itemId, this.ledger.playback(itemId, nowMs).receivedMs);
    observer.replyCancelled(this.outbox.queuedAudioMs);
  }

  #queue(itemId: string, frames: readonly ReplyFrame[], nowMs: number): void {
    this.ledger.received(
      itemId,
      frames.reduce((sum, { audioMs }) => sum + audioMs, 0),
    );
    this.outbox.pushAudio(itemId, frames, nowMs);
  }

  #onDelivered(entry: OutboxEntry): void {
    const { observer, onProgress, onActionDelivered } = this.#options;
    switch (entry.kind) {
      case 'audio':
        this.ledger.delivered(entry.itemId, entry.frameMs, entry.audioMs, hrNowMs());
        observer.replyDelivered(entry.audioMs);
        onProgress(entry.itemId);
        break;
      case 'action':
        onActionDelivered(entry.action);
        break;
    }
  }
}
