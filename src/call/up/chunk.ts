import type { DeclaredAudio } from '../../audio/codec.ts';

/** Audio as a client sent it. */
export interface ChunkAudio {
  /** Base64 text, or the bytes of an unencoded body. */
  readonly data: string | Uint8Array;
  /**
   * What an unencoded body's media type said; absent for JSON bodies, whose audio is in the call's own format unless
   * it is a WAV file.
   */
  readonly declared?: DeclaredAudio | undefined;
}

/** What a client sends at once. */
export interface IncomingChunk {
  readonly audio?: ChunkAudio | undefined;
  readonly chunkSeq?: number | undefined;
  readonly dtmf?: string | undefined;
  /** When it had been read, in milliseconds of `monotonicNowMs`. */
  readonly receivedAtMs: number;
}
