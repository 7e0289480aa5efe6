import type { Codec } from './format.ts';
import type { Recogniser } from './recogniser.ts';

/** Something the caller said: audio of the input buffer that became an item of the conversation. */
export class Utterance {
  readonly codec: Codec;
  readonly durationMs: number;
  readonly #recogniser: Recogniser;
  #bytes: Uint8Array | undefined;
  #text: string | undefined;

  constructor(bytes: Uint8Array, codec: Codec, recogniser: Recogniser) {
    this.#bytes = bytes;
    this.codec = codec;
    this.durationMs = bytes.length / codec.bytesPerMs;
    this.#recogniser = recogniser;
  }

  /** The audio as the client sent it, while it is kept. */
  get bytes(): Uint8Array | undefined {
    return this.#bytes;
  }

  /** What was said. Worked out once, when first asked for. */
  get text(): string {
    this.#text ??= this.#bytes ? this.#recogniser.recognise(this.codec, this.#bytes) : '';
    return this.#text;
  }

  /** Lets the audio go once the text is known: only the current utterance is kept. */
  release(): void {
    this.#bytes = undefined;
  }
}
