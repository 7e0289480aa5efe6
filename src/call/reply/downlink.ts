import type { AudioFormat } from '../../audio/codec.ts';
import { FRAME_MS } from '../../audio/frames.ts';
import type { ReplyAudio } from '../../upstream/host.ts';
import type { DownlinkOutput } from '../../workers/audio/jobs.ts';
import type { AudioLane } from '../../workers/audio/pool.ts';
import type { CallGuard } from '../guard.ts';
import type { CallLanes } from '../lanes.ts';
import type { Replies } from './replies.ts';
import type { Reply } from './reply.ts';

/** Pieces of one reply that may wait for the pool before the worker is asked to hold back. */
const MAX_WAITING_PIECES = 32;

/** A frame for the client. */
export interface ReplyFrame {
  readonly base64: string;
  readonly frameMs: number;
  /** Milliseconds of the reply in it. */
  readonly audioMs: number;
}

/** Told what comes of the audio. */
export interface DownlinkListener {
  /** Audio of a reply came off the socket, at `receivedAtMs`. */
  onReceived(reply: Reply, receivedAtMs: number): void;
  /** Frames are ready for the client. `receivedAtMs`: when the audio came off the socket. */
  onFrames(reply: Reply, frames: readonly ReplyFrame[], format: AudioFormat, receivedAtMs: number | undefined): void;
  /** All frames of a reply are out. */
  onComplete(reply: Reply): void;
  onRejected(reason: string, message: string): void;
}

export interface DownlinkOptions {
  readonly lanes: Pick<CallLanes, 'down'>;
  readonly replies: Replies;
  /** What frames are in until `useFormat` says otherwise. */
  readonly format: AudioFormat;
  readonly guard: CallGuard;
  readonly listener: DownlinkListener;
}

/** What is known of a piece that the pool works on. */
interface Piece {
  readonly format: AudioFormat;
  /** The reply is complete with it. */
  readonly isEnd: boolean;
  readonly receivedAtMs?: number | undefined;
}

/** One call's way down: has reply audio converted and framed, a reply at a time in order, and drops what was cut. */
export class Downlink {
  readonly #options: DownlinkOptions;
  readonly #lanes = new Map<Reply, AudioLane<string | null, DownlinkOutput>>();
  #format: AudioFormat;
  /** Places in the stream where a tool was called, as long as nobody or nothing has reached them. */
  readonly #marks = new Map<string, PromiseWithResolvers<void>>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: DownlinkOptions) {
    this.#options = options;
    this.#format = options.format;
  }

  /** Takes what the worker sent. The promise, if any, is there to make it hold back. */
  accept(audio: ReplyAudio): Promise<void> | undefined {
    const { replies, listener } = this.#options;
    switch (audio.kind) {
      case 'delta': {
        const reply = replies.of(audio.itemId);
        reply.told(audio.audioMs, audio.text);
        if (reply.isClosed) return undefined;
        listener.onReceived(reply, audio.receivedAtMs);
        // The end of a reply may come after the beginning of the next: its last frame must not.
        if (!this.#lanes.has(reply)) this.#endLanes();
        return this.#push(reply, audio.base64, audio.receivedAtMs);
      }
      case 'end':
        return this.#push(replies.of(audio.itemId), null, undefined);
      case 'tool': {
        const mark = this.#mark(audio.toolCallId);
        void this.#tail.then(() => mark.resolve());
        return undefined;
      }
    }
  }

  /** Frames are in this format from now on: that of the reply under way changes between two of them. */
  useFormat(format: AudioFormat): void {
    for (const [reply, lane] of this.#lanes) {
      this.#lanes.delete(reply);
      this.#follow(reply, lane.push(null), { format: this.#format, isEnd: false });
    }
    this.#format = format;
  }

  /** Resolves when everything that was said before a tool was called is in the outbox. Asked once a tool. */
  async said(toolCallId: string): Promise<void> {
    const mark = this.#mark(toolCallId);
    await mark.promise;
    this.#marks.delete(toolCallId);
  }

  /** Resolves when everything accepted so far is in the outbox. */
  async drained(): Promise<void> {
    await this.#tail;
  }

  /** Ends the replies that are still open, as when the worker that sent them is gone. */
  endAll(): void {
    for (const reply of this.#options.replies.all()) void this.#push(reply, null, undefined);
    for (const mark of this.#marks.values()) void this.#tail.then(() => mark.resolve());
  }

  #endLanes(): void {
    for (const reply of [...this.#lanes.keys()]) void this.#push(reply, null, undefined);
  }

  #push(reply: Reply, base64: string | null, receivedAtMs: number | undefined): Promise<void> | undefined {
    let lane = this.#lanes.get(reply);
    if (!lane) {
      // A reply that ends without ever having had audio, or whose audio ended before.
      if (base64 === null) {
        this.#tail = this.#tail.then(() => this.#options.guard.run(() => this.#complete(reply)));
        return undefined;
      }
      lane = this.#options.lanes.down(this.#format);
      this.#lanes.set(reply, lane);
    }
    if (base64 === null) this.#lanes.delete(reply);
    const done = this.#follow(reply, lane.push(base64), {
      format: this.#format,
      isEnd: base64 === null,
      receivedAtMs,
    });
    return lane.pending > MAX_WAITING_PIECES ? done : undefined;
  }

  /** Replies follow each other in the order in which their pieces came, whatever the pool finishes first. */
  #follow(reply: Reply, result: Promise<DownlinkOutput>, piece: Piece): Promise<void> {
    const { guard, listener } = this.#options;
    result.catch(() => {});
    const done: Promise<void> = this.#tail
      .then(() => result)
      .then(
        (output) => guard.run(() => this.#onOutput(reply, output, piece)),
        (error: Error) =>
          guard.run(() => {
            listener.onRejected('internal', error.message);
            if (piece.isEnd) this.#complete(reply);
          }),
      );
    this.#tail = done;
    return done;
  }

  #onOutput(reply: Reply, output: DownlinkOutput, { format, isEnd, receivedAtMs }: Piece): void {
    const { listener } = this.#options;
    if (!output.ok) {
      listener.onRejected(output.reason, output.message);
    } else if (output.frameCount > 0 && !reply.isClosed) {
      listener.onFrames(reply, framesOf(output), format, receivedAtMs);
    }
    if (isEnd) this.#complete(reply);
  }

  #complete(reply: Reply): void {
    reply.complete();
    this.#options.listener.onComplete(reply);
  }

  #mark(toolCallId: string): PromiseWithResolvers<void> {
    let mark = this.#marks.get(toolCallId);
    if (!mark) {
      mark = Promise.withResolvers();
      this.#marks.set(toolCallId, mark);
    }
    return mark;
  }
}

/** The frames of a job's output. */
export function framesOf({ base64, frameCount, paddedMs }: Extract<DownlinkOutput, { ok: true }>): ReplyFrame[] {
  const length = base64.length / frameCount;
  return Array.from({ length: frameCount }, (_, index) => ({
    base64: base64.slice(index * length, (index + 1) * length),
    frameMs: FRAME_MS,
    audioMs: index === frameCount - 1 ? FRAME_MS - paddedMs : FRAME_MS,
  }));
}
