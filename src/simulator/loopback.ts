import { encodeBase64 } from '../audio/base64.ts';
import { type Codec, Transcoder } from './format.ts';
import type { AudioPiece } from './voice.ts';

/** Turns what the caller says into what the assistant says, chunk by chunk or gathered into longer deltas. */
export class Loopback {
  readonly #deltaMs: number;
  #from: Codec | undefined;
  #to: Codec | undefined;
  #transcoder: Transcoder | undefined;
  /** Audio that does not yet fill a delta. */
  #gathered: Uint8Array[] = [];
  #gatheredMs = 0;

  /** @param deltaMs shortest audio of a delta; 0: a delta for each chunk */
  constructor(deltaMs: number) {
    this.#deltaMs = deltaMs;
  }

  /**
   * @param base64 what `bytes` came as, which is sent back as it is where nothing was done with it
   * @returns undefined while the resampler, or a delta that is not yet full, holds all of the audio back
   */
  pass(bytes: Uint8Array, base64: string, from: Codec, to: Codec): AudioPiece | undefined {
    if (from !== this.#from || to !== this.#to) {
      this.#from = from;
      this.#to = to;
      this.#transcoder = from === to ? undefined : new Transcoder(from, to);
    }
    const output = this.#transcoder?.write(bytes) ?? bytes;
    if (output.length === 0) return undefined;
    const durationMs = output.length / to.bytesPerMs;
    if (this.#deltaMs === 0) {
      return { durationMs, base64: output === bytes ? base64 : encodeBase64(output) };
    }
    this.#gathered.push(output);
    this.#gatheredMs += durationMs;
    if (this.#gatheredMs < this.#deltaMs) return undefined;
    const piece = { durationMs: this.#gatheredMs, base64: encodeBase64(Buffer.concat(this.#gathered)) };
    this.#gathered = [];
    this.#gatheredMs = 0;
    return piece;
  }
}
