import type { AudioFormat } from '../../audio/codec.ts';
import { FRAME_MS } from '../../audio/frames.ts';
import type { ReplyAudio } from '../../upstream/host.ts';
import type { DownlinkOutput } from '../../workers/audio/jobs.ts';
import type { AudioLane } from '../../workers/audio/pool.ts';
import type { CallGuard } from '../guard.ts';

/** Pieces of one item that may wait for the pool before the worker is asked to hold back. */
const MAX_WAITING_PIECES = 32;

/** A frame for the client. */
export interface ReplyFrame {
  readonly base64: string;
  readonly frameMs: number;
  /** Milliseconds of the item in it. */
  readonly audioMs: number;
}

export interface DownlinkOptions {
  /** A lane for a new reply item, whose frames are in `format`. */
  readonly newLane: (format: AudioFormat) => AudioLane<string | null, DownlinkOutput>;
  /** What frames are in until `useFormat` says otherwise. */
  readonly format: AudioFormat;
  readonly guard: CallGuard;
  /** Audio of an item came off the socket, at `receivedAtMs`. */
  readonly onReceived: (itemId: string, audioMs: number, receivedAtMs: number) => void;
  /** Frames are ready for the client. `receivedAtMs`: when the audio came off the socket. */
  readonly onFrames: (
    itemId: string,
    frames: ReplyFrame[],
    format: AudioFormat,
    receivedAtMs: number | undefined,
  ) => void;
  /** All frames of an item are out. */
  readonly onComplete: (itemId: string) => void;
  readonly onRejected: (reason: string, message: string) => void;
}

/** What is known of a piece that the pool works on. */
interface Piece {
  readonly format: AudioFormat;
  /** The item is complete with it. */
  readonly isEnd: boolean;
  readonly receivedAtMs?: number | undefined;
}

/** One call's way down: has reply audio converted and framed, an item at a time in order, and drops what was cut. */
export class Downlink {
  readonly #options: DownlinkOptions;
  readonly #lanes = new Map<string, AudioLane<string | null, DownlinkOutput>>();
  #format: AudioFormat;
  /** Items nobody is to hear more of. */
  readonly #cut = new Set<string>();
  readonly #marks = new Map<string, PromiseWithResolvers<void>>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: DownlinkOptions) {
    this.#options = options;
    this.#format = options.format;
  }

  /** Takes what the worker sent. The promise, if any, is there to make it hold back. */
  accept(audio: ReplyAudio): Promise<void> | undefined {
    switch (audio.kind) {
      case 'delta': {
        if (this.#cut.has(audio.itemId)) return undefined;
        this.#options.onReceived(audio.itemId, audio.audioMs, audio.receivedAtMs);
        // The end of an item may come after the beginning of the next: its last frame must not.
        if (!this.#lanes.has(audio.itemId)) this.#endLanes();
        return this.#push(audio.itemId, audio.base64, audio.receivedAtMs);
      }
      case 'end':
        return this.#push(audio.itemId, null, undefined);
      case 'tool': {
        const mark = this.#mark(audio.toolCallId);
        void this.#tail.then(() => mark.resolve());
        return undefined;
      }
    }
  }

  /** Frames are in this format from now on: that of the item under way changes between two of them. */
  useFormat(format: AudioFormat): void {
    for (const [itemId, lane] of this.#lanes) {
      this.#lanes.delete(itemId);
      this.#follow(itemId, lane.push(null), { format: this.#format, isEnd: false });
    }
    this.#format = format;
  }

  /** Drops what is under way of an item, and what still comes. */
  cut(itemId: string): void {
    this.#cut.add(itemId);
  }

  /** Resolves when everything that was said before a tool was called is in the outbox. */
  said(toolCallId: string): Promise<void> {
    return this.#mark(toolCallId).promise;
  }

  /** Resolves when everything accepted so far is in the outbox. */
  async drained(): Promise<void> {
    await this.#tail;
  }

  /** Ends the items that are still open, as when the worker that sent them is gone. */
  endAll(): void {
    this.#endLanes();
    for (const mark of this.#marks.values()) void this.#tail.then(() => mark.resolve());
  }

  #endLanes(): void {
    for (const itemId of [...this.#lanes.keys()]) void this.#push(itemId, null, undefined);
  }

  #push(itemId: string, base64: string | null, receivedAtMs: number | undefined): Promise<void> | undefined {
    let lane = this.#lanes.get(itemId);
    if (!lane) {
      // An item that ends without ever having had audio, or whose audio ended before.
      if (base64 === null) {
        this.#tail = this.#tail.then(() => this.#options.guard.run(() => this.#options.onComplete(itemId)));
        return undefined;
      }
      lane = this.#options.newLane(this.#format);
      this.#lanes.set(itemId, lane);
    }
    if (base64 === null) this.#lanes.delete(itemId);
    const done = this.#follow(itemId, lane.push(base64), {
      format: this.#format,
      isEnd: base64 === null,
      receivedAtMs,
    });
    return lane.pending > MAX_WAITING_PIECES ? done : undefined;
  }

  /** Items follow each other in the order in which their pieces came, whatever the pool finishes first. */
  #follow(itemId: string, result: Promise<DownlinkOutput>, piece: Piece): Promise<void> {
    const { guard, onRejected } = this.#options;
    result.catch(() => {});
    const done: Promise<void> = this.#tail
      .then(() => result)
      .then(
        (output) => guard.run(() => this.#onOutput(itemId, output, piece)),
        (error: Error) => guard.run(() => onRejected('internal', error.message)),
      );
    this.#tail = done;
    return done;
  }

  #onOutput(itemId: string, output: DownlinkOutput, { format, isEnd, receivedAtMs }: Piece): void {
    if (!output.ok) {
      this.#options.onRejected(output.reason, output.message);
    } else if (output.frameCount > 0 && !this.#cut.has(itemId)) {
      this.#options.onFrames(itemId, framesOf(output), format, receivedAtMs);
    }
    if (isEnd) this.#options.onComplete(itemId);
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
