import type { CallerAudio } from './ai-conversation.ts';

/** Keeps the newest audio up to a length: what the caller said last while nobody was listening. */
export class AudioRing {
  #pieces: CallerAudio[] = [];
  #audioMs = 0;
  #droppedMs = 0;
  #capacityMs: number;

  constructor(capacityMs: number) {
    this.#capacityMs = capacityMs;
  }

  push(piece: CallerAudio): void {
    this.#pieces.push(piece);
    this.#audioMs += piece.audioMs;
    while (this.#audioMs > this.#capacityMs && this.#pieces.length > 1) {
      const { audioMs } = this.#pieces.shift()!;
      this.#audioMs -= audioMs;
      this.#droppedMs += audioMs;
    }
  }

  /** Empties the ring. */
  take(): { pieces: CallerAudio[]; droppedMs: number } {
    const taken = { pieces: this.#pieces, droppedMs: this.#droppedMs };
    this.#pieces = [];
    this.#audioMs = 0;
    this.#droppedMs = 0;
    return taken;
  }
}
