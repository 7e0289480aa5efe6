import { encodeBase64 } from '../audio/base64.ts';
import { type Codec, Transcoder } from './format.ts';
import type { AudioPiece } from './voice.ts';

/** Turns what the caller says into what the assistant says, chunk by chunk. */
export class Loopback {
  #from: Codec | undefined;
  #to: Codec | undefined;
  #transcoder: Transcoder | undefined;

  /**
   * @param base64 what `bytes` came as, which is sent back as it is when both formats are the same
   * @returns undefined while the resampler holds all of the audio back
   */
  pass(bytes: Uint8Array, base64: string, from: Codec, to: Codec): AudioPiece | undefined {
    if (from === to) return { durationMs: bytes.length / from.bytesPerMs, base64 };
    if (from !== this.#from || to !== this.#to) {
      this.#from = from;
      this.#to = to;
      this.#transcoder = new Transcoder(from, to);
    }
    const output = this.#transcoder!.write(bytes);
    if (output.length === 0) return undefined;
    return { durationMs: output.length / to.bytesPerMs, base64: encodeBase64(output) };
  }
}
