import { decodeBase64 } from '../../audio/base64.ts';
import type { AudioFormat, DeclaredAudio } from '../../audio/codec.ts';
import { InvalidAudioError } from '../../audio/errors.ts';
import { g711FromBytes } from '../../audio/g711.ts';

/**
 * The bytes of a chunk on a G.711 call, which is taken as it comes: every byte is a sample.
 * @throws {InvalidAudioError} when it is declared, or seen, to be something else
 */
export function g711Chunk(
  data: Uint8Array,
  declared: DeclaredAudio | undefined,
  { encoding }: AudioFormat,
): Uint8Array {
  if (declared && declared.kind !== encoding) {
    if (declared.kind === 'wav') {
      throw new InvalidAudioError(
        'wav_on_g711',
        `audio is a WAV file, but the call was created as ${encoding}: send its raw bytes`,
      );
    }
    throw new InvalidAudioError(
      'unsupported_format',
      `audio is ${declared.kind} by its Content-Type, but the call was created as ${encoding}`,
    );
  }
  return g711FromBytes(data, encoding);
}

/**
 * A chunk's bytes, as a client sent them.
 * @throws {InvalidAudioError} `not_base64`, `empty`
 */
export function chunkBytes(data: string | Uint8Array): Uint8Array {
  const bytes = typeof data === 'string' ? decodeBase64(data) : data;
  if (bytes.length === 0) throw new InvalidAudioError('empty', 'audio is empty');
  return bytes;
}
