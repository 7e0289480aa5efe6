/**
 * The bytes of a stream that are still needed, addressed by their offset from the beginning of the stream. Chunks are
 * kept as they came; only a slice is a copy.
 */
export class AudioBuffer {
  #chunks: { start: number; bytes: Uint8Array }[] = [];
  #end = 0;

  /** Offset behind the last byte: how much was ever written. */
  get end(): number {
    return this.#end;
  }

  /** Offset of the oldest byte that is kept. */
  get start(): number {
    return this.#chunks[0]?.start ?? this.#end;
  }

  write(bytes: Uint8Array): void {
    this.#chunks.push({ start: this.#end, bytes });
    this.#end += bytes.length;
  }

  /** Lets go of what lies before `offset` (whole chunks only). */
  dropBefore(offset: number): void {
    let gone = 0;
    for (const { start, bytes } of this.#chunks) {
      if (start + bytes.length > offset) break;
      gone += 1;
    }
    if (gone > 0) this.#chunks.splice(0, gone);
  }

  /** A copy of the bytes from `from` up to `to`, as far as they are kept. */
  slice(from: number, to: number): Uint8Array {
    const first = Math.max(from, this.start);
    const slice = new Uint8Array(Math.max(0, Math.min(to, this.#end) - first));
    for (const { start, bytes } of this.#chunks) {
      if (start >= to) break;
      if (start + bytes.length <= first) continue;
      const part = bytes.subarray(Math.max(0, first - start), Math.min(bytes.length, to - start));
      slice.set(part, Math.max(0, start - first));
    }
    return slice;
  }
}
