import { type AudioFormat, bytesPerMs, silenceByte } from './codec.ts';

/** Length of a frame on the way down, in milliseconds. */
export const FRAME_MS = 60;

/**
 * Bytes in a frame. A multiple of 3 at every rate and encoding, so that the base64 of a frame has no padding and the
 * base64 pieces of consecutive frames join into the base64 of all of them.
 */
export function frameBytes(format: AudioFormat): number {
  return bytesPerMs(format) * FRAME_MS;
}

/**
 * What of a stream has not filled a frame yet. Plain data: it belongs to the stream and may be cloned or transferred
 * between threads.
 */
export interface FramerState {
  /** Less than a frame; memory of its own, never a view on a larger buffer. */
  remainder: Uint8Array;
}

/** A run of whole frames. */
export interface CutFrames {
  /** The frames, one after the other: `count` × {@link frameBytes} bytes. May be a view on the bytes handed in. */
  readonly frames: Uint8Array;
  readonly count: number;
}

/** The end of a stream: nothing, or one frame. */
export interface FlushedFrames extends CutFrames {
  readonly count: 0 | 1;
  /** How much silence was added to make up the frame, in milliseconds: 0 ≤ `paddedMs` < {@link FRAME_MS}. */
  readonly paddedMs: number;
}

/** The state at the start of a stream. */
export function createFramerState(): FramerState {
  return { remainder: nothing() };
}

/**
 * Appends bytes of any length to a stream and takes the whole frames off its front.
 * Changes `state` in place: it keeps a copy of what is left.
 */
export function cutFrames(state: FramerState, bytes: Uint8Array, format: AudioFormat): CutFrames {
  const size = frameBytes(format);
  const held = state.remainder;
  const count = Math.floor((held.length + bytes.length) / size);
  // Copies are made with `new Uint8Array(view)`: on a Buffer, slice() would be a view.
  if (count === 0) {
    state.remainder = held.length === 0 ? new Uint8Array(bytes) : concat(held, bytes);
    return { frames: nothing(), count };
  }
  const taken = count * size - held.length;
  const front = bytes.subarray(0, taken);
  state.remainder = taken === bytes.length ? nothing() : new Uint8Array(bytes.subarray(taken));
  return { frames: held.length === 0 ? front : concat(held, front), count };
}

/** Ends a stream: pads what is left with silence to one frame. `state` is then as at the start. */
export function flushFrames(state: FramerState, format: AudioFormat): FlushedFrames {
  const held = state.remainder;
  if (held.length === 0) return { frames: nothing(), count: 0, paddedMs: 0 };
  const size = frameBytes(format);
  const frames = new Uint8Array(size);
  frames.set(held);
  frames.fill(silenceByte(format.encoding), held.length);
  state.remainder = nothing();
  return { frames, count: 1, paddedMs: (size - held.length) / bytesPerMs(format) };
}

/** Never shared: whoever transfers an array between threads takes its buffer away from everyone else. */
function nothing(): Uint8Array {
  return new Uint8Array(0);
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
