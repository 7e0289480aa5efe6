import type { CallObserver } from '../record/observer.ts';
import type { ReplyPath } from '../reply/reply-path.ts';
import type { CallStanding } from '../standing.ts';
import type { Uplink } from '../up/uplink.ts';
import { type AudioReceiver, DownStream, type DownStreamRequest } from './down-stream.ts';
import type { Metronome } from './metronome.ts';
import { type AudioSender, UpStream, type UpStreamRequest } from './up-stream.ts';

export interface CallStreamsOptions {
  readonly uplink: Uplink;
  readonly replyPath: ReplyPath;
  readonly observer: CallObserver;
  readonly metronome: Metronome;
  readonly standing: Pick<CallStanding, 'isSaidOut'>;
}

/** The streamed connections of one call: at most one each way. A new one takes the place of the one before. */
export class CallStreams {
  readonly #options: CallStreamsOptions;
  #up: UpStream | undefined;
  #down: DownStream | undefined;

  constructor(options: CallStreamsOptions) {
    this.#options = options;
  }

  get counts(): { readonly up: number; readonly down: number } {
    return { up: this.#up ? 1 : 0, down: this.#down ? 1 : 0 };
  }

  /**
   * When a client was last heard of: one that streams by its audio, since a connection alone outlives the machine at its
   * other end; one that only listens is there as long as its connection is. Undefined: none is connected.
   */
  heardOfAtMs(nowMs: number): number | undefined {
    return this.#up?.receivedAtMs ?? (this.#down && nowMs);
  }

  /** A client is being played the replies: polls are not given them. */
  get isPlaying(): boolean {
    return this.#down !== undefined;
  }

  openUp(request: UpStreamRequest, sender: AudioSender): UpStream {
    this.#up?.replace();
    this.#up = new UpStream(request, sender, this.#options);
    return this.#up;
  }

  openDown(request: DownStreamRequest, receiver: AudioReceiver): DownStream {
    this.#down?.replace();
    this.#down = new DownStream(request, receiver, this.#options);
    return this.#down;
  }

  /** A connection is gone. Idempotent. */
  left(stream: UpStream | DownStream): void {
    stream.close();
    if (this.#up === stream) this.#up = undefined;
    if (this.#down === stream) this.#down = undefined;
  }

  /** Brings up to date what is known to have been heard. */
  settle(nowMs: number): void {
    this.#down?.settle(nowMs);
  }

  /** Nothing of what was taken is to be said any more. The caller settles first. */
  flush(): void {
    this.#down?.flush();
  }

  /** The call goes on elsewhere: connections break, so that their clients make new ones. Idempotent. */
  breakOff(): void {
    this.#up?.breakOff();
    this.#down?.breakOff();
    this.#up = undefined;
    this.#down = undefined;
  }

  /** The call is over, its outbox too. Idempotent. */
  close(): void {
    this.#up?.replace();
    this.#down?.replace();
    this.#up = undefined;
    this.#down = undefined;
  }
}
