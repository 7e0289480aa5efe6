import { type AudioFormat, codecOf, isSameFormat } from './codec.ts';
import { createResamplerState, flushResampler, type ResamplerState, resample } from './resampler.ts';

/**
 * What a stream remembers while it is turned from one format into another. Plain data: it belongs to the stream and may
 * be cloned or transferred between threads.
 */
export interface ConverterState {
  /** Absent before the first sample, and where rates are equal. */
  resampler?: ResamplerState | undefined;
}

/**
 * The next bytes of a stream in another format. The same format is returned as it is, byte for byte. Chunked output,
 * joined, equals the output of the whole stream, however it is cut.
 * @param state changed in place
 * @param bytes whole samples of `from`
 * @returns bytes of `to`, fewer than the input stands for while the filter fills; may be a view on `bytes`
 * @throws {InvalidAudioError} for half a sample
 */
export function convert(state: ConverterState, bytes: Uint8Array, from: AudioFormat, to: AudioFormat): Uint8Array {
  if (isSameFormat(from, to)) return bytes;
  const samples = codecOf(from.encoding).decode(bytes);
  return codecOf(to.encoding).encode(atRate(state, samples, from, to));
}

/** The samples of a stream at another rate. A stream whose rate changes ends one filter's audio and starts another's. */
export function atRate(
  state: ConverterState,
  samples: Int16Array,
  from: Pick<AudioFormat, 'sampleRateHz'>,
  to: Pick<AudioFormat, 'sampleRateHz'>,
): Int16Array {
  const tail =
    state.resampler && state.resampler.fromHz !== from.sampleRateHz ? flushResampler(state.resampler) : undefined;
  if (tail) state.resampler = undefined;
  let converted = samples;
  if (from.sampleRateHz !== to.sampleRateHz) {
    state.resampler ??= createResamplerState(from.sampleRateHz, to.sampleRateHz);
    converted = resample(state.resampler, samples);
  }
  return tail ? concat(tail, converted) : converted;
}

/** Ends a stream: the bytes of `to` that the filter still holds. `state` is then as at the start. */
export function endConversion(state: ConverterState, to: AudioFormat): Uint8Array {
  const { resampler } = state;
  state.resampler = undefined;
  return resampler ? codecOf(to.encoding).encode(flushResampler(resampler)) : new Uint8Array(0);
}

/** All of a sound in another format, as one piece. */
export function convertWhole(bytes: Uint8Array, from: AudioFormat, to: AudioFormat): Uint8Array {
  if (isSameFormat(from, to)) return bytes;
  const state: ConverterState = {};
  const head = convert(state, bytes, from, to);
  const tail = endConversion(state, to);
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

function concat(head: Int16Array, tail: Int16Array): Int16Array {
  const joined = new Int16Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
