import { type AudioFormat, isSameFormat } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { CallGuard } from '../guard.ts';
import type { CallLanes } from '../lanes.ts';
import type { CallObserver } from '../record/observer.ts';
import type { CallRecorder } from '../record/recorder.ts';
import { Transcript } from '../record/transcript.ts';
import type { SessionClock } from '../session-clock.ts';
import type { UpstreamCall } from '../upstream-call.ts';
import { Downlink, type DownlinkListener, framesOf, type ReplyFrame } from './downlink.ts';
import { CallFiller, type FillerSource, type FillerStage } from './filler.ts';
import {
  type AudioEntry,
  type CallAction,
  Outbox,
  type OutboxEntry,
  type OutboxListener,
  type OutboxReader,
} from './outbox.ts';
import { Playhead } from './playhead.ts';
import { Replies } from './replies.ts';
import type { Reply } from './reply.ts';

export interface ReplyPathListener {
  /** The client has an action. */
  onActionDelivered(action: CallAction): void;
  /** It has a line of the transcript. */
  onLineDelivered(): void;
}

export interface ReplyPathOptions {
  readonly lanes: Pick<CallLanes, 'down'>;
  /** What the call's client is given where it does not ask for another. */
  readonly format: AudioFormat;
  readonly upstream: Pick<UpstreamCall, 'command'>;
  readonly observer: CallObserver;
  readonly clock: SessionClock;
  /** Absent: the call is not recorded. */
  readonly recorder?: CallRecorder | undefined;
  readonly guard: CallGuard;
  /** Whoever waits for something to come. */
  readonly reader: OutboxReader;
  readonly listener: ReplyPathListener;
  /** Most reply audio that may be queued; past that the reply is cut. */
  readonly maxOutboxMs: number;
  /** What a caller hears who waits for a lost answer; absent: nothing. */
  readonly filler?: FillerSource | undefined;
}

/** One call's replies on their way to its client: converted, queued until they have arrived, and followed until heard. */
export class ReplyPath implements DownlinkListener, OutboxListener, FillerStage {
  readonly outbox: Outbox;
  readonly transcript: Transcript;
  readonly replies: Replies;
  readonly downlink: Downlink;
  readonly recorder: CallRecorder | undefined;
  readonly #playhead = new Playhead();
  /** Absent where the profile has none. */
  readonly #filler: CallFiller | undefined;
  readonly #options: ReplyPathOptions;
  #format: AudioFormat;

  constructor(options: ReplyPathOptions) {
    this.#options = options;
    this.#format = options.format;
    this.recorder = options.recorder;
    const { lanes, observer, guard, reader, filler, format } = options;
    this.outbox = new Outbox(reader, this);
    this.transcript = new Transcript(this.outbox);
    this.replies = new Replies(this.transcript, this.#playhead);
    this.downlink = new Downlink({ lanes, format, guard, replies: this.replies, listener: this });
    this.#filler = filler && new CallFiller(filler, this, observer, guard);
  }

  get generation(): number {
    return this.outbox.generation;
  }

  /** Milliseconds of audio that the caller has yet to hear. */
  get remainingMs(): number {
    return this.#playhead.remainingMs(monotonicNowMs()) + this.outbox.queuedAudioMs;
  }

  /** Whether something is still to be fetched, or to be heard. */
  isBusy(nowMs: number): boolean {
    return this.#playhead.remainingMs(nowMs) > 0 || !this.outbox.isEmpty;
  }

  /** The client says how much of a generation's audio the caller has heard. */
  reportPlayed(playedMs: number, generation: number | undefined): void {
    if (generation !== this.generation) return;
    const nowMs = monotonicNowMs();
    this.#playhead.report(playedMs, nowMs);
    this.recorder?.playheadMoved(this.#playhead.positionMs(nowMs), nowMs);
  }

  /**
   * Ends the generation: playback stops where it is, and what is queued is forgotten.
   * @returns the actions that were withdrawn, which are those that `keepAction` does not keep
   */
  interrupt(nowMs: number, keepAction: (action: CallAction) => boolean): CallAction[] {
    this.#filler?.stop();
    this.recorder?.interrupted(nowMs, this.#playhead.positionMs(nowMs));
    this.#playhead.interrupt(nowMs);
    return this.outbox.interrupt(keepAction);
  }

  /** The caller waits for an answer that is lost. */
  awaitAnswer(): void {
    this.#filler?.await();
  }

  /** The caller speaks, or the call is over: nobody is to be consoled any more. */
  stopFiller(): void {
    this.#filler?.stop();
  }

  /** The worker is gone: what it did not finish ends where it is. */
  abandon(): void {
    this.downlink.endAll();
    this.replies.abandon();
  }

  /** Resolves when all that came of the replies is in the outbox; what is open ends here. */
  async drained(): Promise<void> {
    this.downlink.endAll();
    await this.downlink.drained();
  }

  /** The call is over, and what is left of it is forgotten. Idempotent. */
  close(nowMs: number): void {
    const { guard } = this.#options;
    guard.run(() => this.recorder?.close(nowMs, this.#playhead.positionMs(nowMs)));
    this.outbox.close();
    this.replies.clear();
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
      const lane = this.#options.lanes.down(format, from);
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
    const { observer, clock } = this.#options;
    const reply = this.replies.find(entry.itemId);
    reply?.played(audioMs);
    observer.replyDelivered(audioMs);
    if (audioMs > 0) clock.onAgentSpoke();
    if (!isWhole) return;
    this.outbox.heardAudio(entry);
    if (reply) this.replies.settle(reply);
  }

  /** Plays sounds that are none of the AI's, in the call's own format. */
  playSound(itemId: string, frames: readonly ReplyFrame[]): void {
    this.#queue(this.replies.filler(itemId), frames, this.#options.format, monotonicNowMs());
  }

  // What the downlink tells

  onReceived({ itemId }: Reply, receivedAtMs: number): void {
    this.#options.observer.replyReceived(itemId, receivedAtMs);
  }

  onFrames(reply: Reply, frames: readonly ReplyFrame[], format: AudioFormat, receivedAtMs: number | undefined): void {
    const { observer, maxOutboxMs, upstream } = this.#options;
    const nowMs = monotonicNowMs();
    this.#filler?.stop();
    this.#queue(reply, frames, format, nowMs);
    observer.replyQueued(reply.itemId, receivedAtMs, nowMs);
    if (this.outbox.queuedAudioMs <= maxOutboxMs) return;
    // Nobody listens to minutes of backlog.
    reply.close();
    upstream.command({ type: 'cancel_reply', itemId: reply.itemId, keptMs: reply.receivedMs });
    observer.replyCancelled(this.outbox.queuedAudioMs);
  }

  onComplete(reply: Reply): void {
    this.replies.settle(reply);
  }

  onRejected(reason: string, message: string): void {
    this.#options.observer.replyRejected(reason, message);
  }

  // What the outbox tells

  onDelivered(entry: OutboxEntry): void {
    const { observer, clock, listener } = this.#options;
    switch (entry.kind) {
      case 'audio': {
        const reply = this.replies.find(entry.itemId);
        observer.replyDelivered(entry.audioMs);
        clock.onAgentSpoke();
        if (!reply) break;
        this.#playhead.delivered(reply, entry.frameMs, entry.audioMs, monotonicNowMs());
        this.recorder?.handedOver(entry, this.#playhead.playsUntilMs - entry.frameMs);
        this.replies.settle(reply);
        break;
      }
      case 'action':
        listener.onActionDelivered(entry.action);
        break;
      case 'transcript':
        listener.onLineDelivered();
        break;
    }
  }

  #queue(reply: Reply, frames: readonly ReplyFrame[], format: AudioFormat, nowMs: number): void {
    for (const { audioMs } of frames) reply.received(audioMs);
    this.outbox.pushAudio(reply.itemId, frames, nowMs, format);
    if (!isSameFormat(format, this.#format)) this.#convertQueued();
  }
}
