import type { AudioFormat, DeclaredAudio } from '../../audio/codec.ts';
import type { FramerState } from '../../audio/frames.ts';
import type { ResamplerState } from '../../audio/resampler.ts';
import type { CallerPiece } from './pieces.ts';

/** What a way up or down remembers from one job to the next. It travels with the jobs: the pool keeps nothing. */
export interface AudioState {
  readonly resampler?: ResamplerState | undefined;
  readonly framer?: FramerState | undefined;
}

/** A chunk as the client sent it. */
export interface UplinkInput {
  /** Base64 text, or bytes. */
  readonly data: string | Uint8Array;
  /** What the media type of an unencoded body said; absent: the call's format, or a WAV file. */
  readonly declared?: DeclaredAudio | undefined;
}

/** Turns chunks of one call, in order, into what is sent upstream. */
export interface UplinkJob {
  readonly kind: 'up';
  readonly call: AudioFormat;
  readonly upstream: AudioFormat;
  readonly state: AudioState | undefined;
  readonly inputs: readonly UplinkInput[];
  /** Measure how much of each chunk is loud. */
  readonly measureVoice: boolean;
}

export type UplinkOutput =
  | {
      readonly ok: true;
      /**
       * In the upstream's format: one for a chunk of the usual size, several for a long one, none when the chunk only
       * filled the resampler.
       */
      readonly pieces: readonly CallerPiece[];
      /** Milliseconds of caller audio in the chunk. */
      readonly audioMs: number;
      /** How much of that is loud, where that is measured. */
      readonly voicedMs?: number;
    }
  | { readonly ok: false; readonly reason: string; readonly message: string };

/** Turns pieces of one reply item, in order, into frames for the client. */
export interface DownlinkJob {
  readonly kind: 'down';
  readonly call: AudioFormat;
  readonly upstream: AudioFormat;
  readonly state: AudioState | undefined;
  /** Base64 in the upstream's format; null: the item is complete. */
  readonly inputs: readonly (string | null)[];
}

export type DownlinkOutput =
  | {
      readonly ok: true;
      /** Base64 of `frameCount` frames, which can be cut into equal pieces. */
      readonly base64: string;
      readonly frameCount: number;
      /** Milliseconds of the last frame that are padding. */
      readonly paddedMs: number;
    }
  | { readonly ok: false; readonly reason: string; readonly message: string };

/** Turns WAV files into frames for the client, each from its beginning to its end. */
export interface FileJob {
  readonly kind: 'file';
  readonly call: AudioFormat;
  readonly state: AudioState | undefined;
  readonly inputs: readonly Uint8Array[];
}

export type AudioJob = UplinkJob | DownlinkJob | FileJob;

/** An output for each input, and what the next job of the same way is to be given. */
export interface AudioJobResult {
  readonly state: AudioState;
  readonly outputs: readonly (UplinkOutput | DownlinkOutput)[];
}
