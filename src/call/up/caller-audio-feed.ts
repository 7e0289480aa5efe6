import type { Sink } from '../../bus/index.ts';
import type { CallerAudio } from '../../upstream/ai-conversation.ts';
import { AudioRing } from '../../upstream/audio-ring.ts';

/** A call's audio on its way to the session worker; while there is none, what is young enough is kept. */
export class CallerAudioFeed {
  readonly #ring: AudioRing;
  #sink: Sink<CallerAudio> | undefined;
  #closed = false;

  /** @param keepAudioMs audio kept while there is no worker to take it */
  constructor(keepAudioMs: number) {
    this.#ring = new AudioRing(keepAudioMs);
  }

  /** Pieces that wait for the worker. */
  get queued(): number {
    return this.#sink?.queued ?? 0;
  }

  /** Audio goes to this sink from now on, beginning with what was kept; undefined: it is kept. */
  attach(sink: Sink<CallerAudio> | undefined): void {
    if (this.#closed) return;
    this.#sink = sink;
    if (sink) for (const piece of this.#ring.take().pieces) sink.write(piece);
  }

  send(piece: CallerAudio): void {
    if (this.#sink) this.#sink.write(piece);
    else if (!this.#closed) this.#ring.push(piece);
  }

  /** What still comes is forgotten. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#sink?.end();
    this.#sink = undefined;
  }
}
