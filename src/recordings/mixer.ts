import { type AudioFormat, bytesPerMs, codecOf } from '../audio/codec.ts';
import { atRate, type ConverterState } from '../audio/converter.ts';
import { flushResampler } from '../audio/resampler.ts';
import type { RecordedPiece, RecordingRateHz } from './batch.ts';

const CHANNELS = 2;
/** What a filter still holds back of audio that has been put in is shorter than this. */
const FILTER_MS = 20;
/** Rounding, and a clock that drifts, set pieces apart that follow each other. */
const SEAM_MS = 5;

/** One side of a recording: where its audio goes on, and what the filter remembers. */
interface Side {
  readonly channel: 0 | 1;
  readonly converter: ConverterState;
  /** The frame behind its last sample; undefined: nothing came yet. */
  nextFrame: number | undefined;
}

/**
 * Puts the pieces of a call's two sides where they belong on the call's clock, at one rate, the caller left and the agent
 * right, with silence where nobody speaks. Frames are pairs of samples.
 */
export class Mixer {
  readonly #rateHz: RecordingRateHz;
  readonly #sides: Readonly<Record<RecordedPiece['side'], Side>> = {
    caller: { channel: 0, converter: {}, nextFrame: undefined },
    agent: { channel: 1, converter: {}, nextFrame: undefined },
  };
  /** Interleaved, from `#takenFrames` on. */
  #samples = new Int16Array(0);
  #takenFrames = 0;

  constructor(rateHz: RecordingRateHz) {
    this.#rateHz = rateHz;
  }

  add(piece: RecordedPiece): void {
    const { format, startMs } = piece;
    const side = this.#sides[piece.side];
    const frame = this.#frameAt(startMs);
    if (side.nextFrame === undefined || Math.abs(frame - side.nextFrame) > this.#frameAt(SEAM_MS)) {
      this.#finish(side);
      side.nextFrame = frame;
    }
    const samples = codecOf(format.encoding).decode(bytesOf(piece));
    this.#put(side, atRate(side.converter, samples, format, { sampleRateHz: this.#rateHz }));
  }

  /** Takes the frames up to a moment that no piece comes before any more; of the last few milliseconds, none. */
  take(untilMs: number): Int16Array {
    return this.#take(this.#frameAt(untilMs - FILTER_MS));
  }

  /** Ends both sides and takes what is left, to exactly `untilMs`. */
  end(untilMs: number): Int16Array {
    for (const side of Object.values(this.#sides)) this.#finish(side);
    return this.#take(this.#frameAt(untilMs));
  }

  #take(untilFrame: number): Int16Array {
    const count = untilFrame - this.#takenFrames;
    if (count <= 0) return new Int16Array(0);
    this.#reach(untilFrame);
    const taken = this.#samples.slice(0, count * CHANNELS);
    this.#samples = this.#samples.slice(count * CHANNELS);
    this.#takenFrames = untilFrame;
    return taken;
  }

  /** Ends a run of audio: the filter gives what it holds. */
  #finish(side: Side): void {
    const { resampler } = side.converter;
    if (!resampler) return;
    side.converter.resampler = undefined;
    this.#put(side, flushResampler(resampler));
  }

  #put(side: Side, samples: Int16Array): void {
    const from = side.nextFrame ?? 0;
    side.nextFrame = from + samples.length;
    this.#reach(side.nextFrame);
    // What should have been written before goes where there is still room for it.
    const late = Math.max(0, this.#takenFrames - from);
    for (let index = late; index < samples.length; index++) {
      this.#samples[(from + index - this.#takenFrames) * CHANNELS + side.channel] = samples[index]!;
    }
  }

  /** Makes room up to a frame. */
  #reach(frame: number): void {
    const length = (frame - this.#takenFrames) * CHANNELS;
    if (length <= this.#samples.length) return;
    const longer = new Int16Array(length);
    longer.set(this.#samples);
    this.#samples = longer;
  }

  #frameAt(ms: number): number {
    return Math.max(0, Math.round((ms * this.#rateHz) / 1000));
  }
}

/** The bytes of a piece, whole samples of them. */
function bytesOf({ base64, format, fromMs = 0, toMs }: RecordedPiece): Uint8Array {
  const bytes = Buffer.from(base64, 'base64');
  const from = byteAt(fromMs, format);
  return bytes.subarray(from, toMs === undefined ? bytes.length : byteAt(toMs, format));
}

function byteAt(ms: number, format: AudioFormat): number {
  const { bytesPerSample } = codecOf(format.encoding);
  return Math.round((ms * bytesPerMs(format)) / bytesPerSample) * bytesPerSample;
}
