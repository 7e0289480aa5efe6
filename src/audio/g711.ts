import { InvalidAudioError } from './errors.ts';
import { looksLikeWav } from './wav.ts';

/**
 * ITU-T G.711. Values are 16-bit samples: the 14 bits of mu-law and the 13 bits of A-law stand left-justified in them,
 * as in the ITU's software tools library (G.191), which this agrees with code for code in both directions.
 */

const MU_LAW_BIAS = 33;
const MU_LAW_CLIP = 0x1fff;
/** A-law codes travel with their even bits inverted. */
const A_LAW_TOGGLE = 0x55;

const MU_LAW_DECODED = Int16Array.from({ length: 256 }, (_, code) => decodeMuLaw(code));
const A_LAW_DECODED = Int16Array.from({ length: 256 }, (_, code) => decodeALaw(code));

/**
 * Checks raw G.711 bytes from a client and returns them as they are: every byte is a valid sample.
 *
 * @throws {InvalidAudioError} `empty` on no bytes, `wav_on_g711` when they are a WAV file.
 */
export function g711FromBytes(bytes: Uint8Array, encoding: string): Uint8Array {
  if (bytes.byteLength === 0) throw new InvalidAudioError('empty', 'audio has no bytes');
  if (looksLikeWav(bytes)) {
    throw new InvalidAudioError('wav_on_g711', `audio is a WAV file on a ${encoding} call; send raw ${encoding} bytes`);
  }
  return bytes;
}

/** Encodes PCM16 samples as mu-law, a byte a sample. */
export function muLawFromPcm16(samples: Int16Array): Uint8Array {
  const codes = new Uint8Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    const sign = sample < 0 ? 0x80 : 0;
    const magnitude = Math.min(((sample < 0 ? ~sample : sample) >> 2) + MU_LAW_BIAS, MU_LAW_CLIP);
    const segment = 26 - Math.clz32(magnitude);
    codes[i] = ~(sign | (segment << 4) | ((magnitude >> (segment + 1)) & 0x0f));
  }
  return codes;
}

/** Decodes mu-law bytes into PCM16 samples. */
export function pcm16FromMuLaw(codes: Uint8Array): Int16Array {
  return decode(codes, MU_LAW_DECODED);
}

/** Encodes PCM16 samples as A-law, a byte a sample. */
export function aLawFromPcm16(samples: Int16Array): Uint8Array {
  const codes = new Uint8Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    const sign = sample < 0 ? 0 : 0x80;
    const magnitude = (sample < 0 ? ~sample : sample) >> 4;
    // Segments 0 and 1 share the smallest step; in every other the step is 2^shift. The leading one of the shifted
    // magnitude makes up the segment number.
    const shift = Math.max(0, 27 - Math.clz32(magnitude));
    codes[i] = (sign | ((shift << 4) + (magnitude >> shift))) ^ A_LAW_TOGGLE;
  }
  return codes;
}

/** Decodes A-law bytes into PCM16 samples. */
export function pcm16FromALaw(codes: Uint8Array): Int16Array {
  return decode(codes, A_LAW_DECODED);
}

function decode(codes: Uint8Array, table: Int16Array): Int16Array {
  const samples = new Int16Array(codes.length);
  for (let i = 0; i < codes.length; i++) samples[i] = table[codes[i]!]!;
  return samples;
}

function decodeMuLaw(code: number): number {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) * 2 + MU_LAW_BIAS) << ((bits >> 4) & 7)) - MU_LAW_BIAS) << 2;
  return bits & 0x80 ? -magnitude : magnitude;
}

function decodeALaw(code: number): number {
  const bits = code ^ A_LAW_TOGGLE;
  const segment = (bits >> 4) & 7;
  const step = ((bits & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? step : (step + 0x100) << (segment - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}
