import { InvalidAudioError } from './errors.ts';

/** Order of the two bytes of a PCM16 sample. */
export type Endianness = 'little' | 'big';

/**
 * Reads bytes as PCM16 samples.
 *
 * Aligned little-endian bytes are not copied: the samples are a view on them (all processors Node ships for here are
 * little-endian). Misaligned or big-endian bytes are copied; the input is never changed.
 *
 * @throws {InvalidAudioError} `empty` on no bytes, `odd_length` when the last sample is half a sample.
 */
export function pcm16FromBytes(bytes: Uint8Array, endianness: Endianness = 'little'): Int16Array {
  if (bytes.byteLength === 0) throw new InvalidAudioError('empty', 'audio has no bytes');
  if (bytes.byteLength % 2 !== 0) {
    const plural = bytes.byteLength === 1 ? '' : 's';
    throw new InvalidAudioError(
      'odd_length',
      `audio has ${bytes.byteLength} byte${plural}, an odd number; PCM16 samples are two bytes each`,
    );
  }
  if (endianness === 'big') {
    const copy = new Uint8Array(bytes);
    Buffer.from(copy.buffer).swap16();
    return new Int16Array(copy.buffer);
  }
  if (bytes.byteOffset % 2 !== 0) return new Int16Array(new Uint8Array(bytes).buffer);
  return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

/** The bytes of PCM16 samples, little-endian: a view on the same memory. */
export function bytesFromPcm16(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}

/**
 * Averages interleaved channels into one, rounding to the nearest sample value (halves upwards).
 * One channel is returned as it came, without a copy.
 *
 * @throws {RangeError} when `channels` is not a positive whole number or the samples are not whole groups of it.
 */
export function mixToMono(interleaved: Int16Array, channels: number): Int16Array {
  if (!Number.isInteger(channels) || channels < 1 || interleaved.length % channels !== 0) {
    throw new RangeError(`${interleaved.length} samples cannot be split into ${channels} channels`);
  }
  if (channels === 1) return interleaved;
  const mono = new Int16Array(interleaved.length / channels);
  if (channels === 2) {
    for (let i = 0, j = 0; i < mono.length; i++, j += 2) mono[i] = (interleaved[j]! + interleaved[j + 1]! + 1) >> 1;
    return mono;
  }
  for (let i = 0, j = 0; i < mono.length; i++) {
    let sum = 0;
    for (const end = j + channels; j < end; j++) sum += interleaved[j]!;
    mono[i] = Math.floor(sum / channels + 0.5);
  }
  return mono;
}
