import { type AudioFormat, isSameFormat } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { DownlinkOutput } from '../../workers/audio/jobs.ts';
import type { AudioLane } from '../../workers/audio/pool.ts';
import type { CallGuard } from '../guard.ts';
import type { CallObserver } from '../record/observer.ts';
import type { CallRecorder } from '../record/recorder.ts';
import { Downlink, framesOf, type ReplyFrame } from './downlink.ts';
import { CallFiller } from './filler.ts';
import { type AudioEntry, type CallAction, Outbox, type OutboxEntry } from './outbox.ts';
import { PlaybackLedger } from './playback-ledger.ts';

export interface ReplyPathOptions {
  /** A lane for a reply item: from the upstream's format, or from `from`, to `format`. */
  readonly newLane: (format: AudioFormat, from?: AudioFormat) => AudioLane<string | null, DownlinkOutput>;
  /** What the call's client is given where it does not ask for another. */
  readonly format: AudioFormat;
  readonly observer: CallObserver;
  /** Absent: the call is not recorded. */
  readonly recorder?: CallRecorder | undefined;
  readonly guard: CallGuard;
  /** Most reply audio that may be queued; past that the reply is cut. */
  readonly maxOutboxMs: number;
  /** What a caller hears who waits for a lost answer; absent: nothing. `afterMs`: of silence; absent: the default. */
  readonly filler?: { load(): Promise<readonly ReplyFrame[]>; readonly afterMs?: number | undefined } | undefined;
  /** More is known of an item's playback: its transcript line may be due. */
  readonly onProgress: (itemId: string) => void;
  /** Speech of the agent has arrived at the client. */
  readonly onSpoken: () => void;
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
  readonly recorder: CallRecorder | undefined;
  readonly #options: ReplyPathOptions;
  #format: AudioFormat;

  constructor(options: ReplyPathOptions) {
    this.#options = options;
    this.#format = options.format;
    this.recorder = options.recorder;
    const { observer, guard, filler } = options;
    this.outbox = new Outbox((entry) => this.#onDelivered(entry), options.onChange);
    this.downlink = new Downlink({
      newLane: (format) => options.newLane(format),
      format: options.format,
      guard,
      onReceived: (itemId, _audioMs, receivedAtMs) => observer.replyReceived(itemId, receivedAtMs),
      onFrames: (itemId, frames, format, receivedAtMs) => this.#onFrames(itemId, frames, format, receivedAtMs),
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
        play: (itemId, frames) => this.play(itemId, frames),
        remainingMs: () => this.ledger.remainingMs(monotonicNowMs()) + this.outbox.queuedAudioMs,
        onStarted: () => observer.fillerStarted(),
        onFailed: (error) => observer.fillerFailed(error),
        afterMs: filler.afterMs,
      });
  }

  /** Plays sounds that are none of the AI's, in the call's own format. */
  play(itemId: string, frames: readonly ReplyFrame[]): void {
    this.#queue(itemId, frames, this.#options.format, monotonicNowMs());
  }

  /** Resolves when all that came of the replies is in the outbox; what is open ends here. */
  async drained(): Promise<void> {
    this.downlink.endAll();
    await this.downlink.drained();
  }

  /** The reader gets audio in this format from now on, what is queued included. Another one than before is rare. */
  useFormat(format: AudioFormat): void {
    if (isSameFormat(format, this.#format)) return;
    this.#format = format;
    this.downlink.useFormat(format);
    this.#convertQueued();
  }

  #convertQueued(): void {
    const format = this.#format;
    this.outbox.convertTo(format, async (frames, from) => {
      const lane = this.#options.newLane(format, from);
      const outputs = await Promise.all([lane.push(frames.join('')), lane.push(null)]);
      return outputs
        .flatMap((output) => (output.ok && output.frameCount > 0 ? framesOf(output) : []))
        .map(({ base64 }) => base64);
    });
  }

  /**
   * A stream has played `audioMs` more of an entry's audio, or, less than 0, turns out not to have.
   * @param isWhole it was the last of it
   */
  played(entry: AudioEntry, audioMs: number, isWhole: boolean): void {
    this.ledger.played(entry.itemId, audioMs);
    this.#options.observer.replyDelivered(audioMs);
    if (audioMs > 0) this.#options.onSpoken();
    if (!isWhole) return;
    this.outbox.heardAudio(entry);
    this.#options.onProgress(entry.itemId);
  }

  #onFrames(
    itemId: string,
    frames: readonly ReplyFrame[],
    format: AudioFormat,
    receivedAtMs: number | undefined,
  ): void {
    const { observer, maxOutboxMs, onBacklog } = this.#options;
    const nowMs = monotonicNowMs();
    this.filler?.stop();
    this.#queue(itemId, frames, format, nowMs);
    observer.replyQueued(itemId, receivedAtMs, nowMs);
    if (this.outbox.queuedAudioMs <= maxOutboxMs) return;
    // Nobody listens to minutes of backlog.
    this.downlink.cut(itemId);
    onBacklog(itemId, this.ledger.playback(itemId, nowMs).receivedMs);
    observer.replyCancelled(this.outbox.queuedAudioMs);
  }

  #queue(itemId: string, frames: readonly ReplyFrame[], format: AudioFormat, nowMs: number): void {
    this.ledger.received(
      itemId,
      frames.reduce((sum, { audioMs }) => sum + audioMs, 0),
    );
    this.outbox.pushAudio(itemId, frames, nowMs, format);
    if (!isSameFormat(format, this.#format)) this.#convertQueued();
  }

  #onDelivered(entry: OutboxEntry): void {
    const { observer, onProgress, onSpoken, onActionDelivered } = this.#options;
    switch (entry.kind) {
      case 'audio':
        this.ledger.delivered(entry.itemId, entry.frameMs, entry.audioMs, monotonicNowMs());
        this.recorder?.handedOver(entry, this.ledger.playsUntilMs - entry.frameMs);
        observer.replyDelivered(entry.audioMs);
        onSpoken();
        onProgress(entry.itemId);
        break;
      case 'action':
        onActionDelivered(entry.action);
        break;
    }
  }
}
