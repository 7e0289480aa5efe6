/** A frame of caller audio on its way upstream. */
export interface UplinkFrame {
  /** An `input_audio_buffer.append` event, ready to be sent. */
  readonly frame: string | Uint8Array;
  readonly audioMs: number;
  /** When its chunk had been read, in milliseconds of `monotonicNowMs`. */
  readonly receivedAtMs: number;
}

/** Keeps the newest audio up to a length: what the caller said last while nobody was listening. */
export class AudioRing {
  #frames: UplinkFrame[] = [];
  #audioMs = 0;
  #droppedMs = 0;
  #capacityMs: number;

  constructor(capacityMs: number) {
    this.#capacityMs = capacityMs;
  }

  push(frame: UplinkFrame): void {
    this.#frames.push(frame);
    this.#audioMs += frame.audioMs;
    while (this.#audioMs > this.#capacityMs && this.#frames.length > 1) {
      const { audioMs } = this.#frames.shift()!;
      this.#audioMs -= audioMs;
      this.#droppedMs += audioMs;
    }
  }

  /** Empties the ring. */
  take(): { frames: UplinkFrame[]; droppedMs: number } {
    const taken = { frames: this.#frames, droppedMs: this.#droppedMs };
    this.#frames = [];
    this.#audioMs = 0;
    this.#droppedMs = 0;
    return taken;
  }
}
