import { InvalidAudioError } from './errors.ts';

const LINE_BREAKS = /[\r\n]+/g;

/**
 * Decodes base64 in the standard alphabet (RFC 4648, section 4), strictly.
 *
 * Padding is either complete or absent. Carriage returns and line feeds are skipped wherever they stand (coreutils wraps
 * its lines at 76 characters). Anything else is refused: characters outside the alphabet, those of base64url (`-` and
 * `_`), padding in the middle, a last group of one character. Blanks are refused too, at the end of a line as well: a
 * form's decoding makes them of `+`, and the audio without those characters is noise. Unused low bits of the last character
 * are ignored, as most decoders do: they carry nothing. An empty text is zero bytes.
 *
 * The bytes may be a view on memory that is shared with other small buffers. Copy them before they are posted to
 * another thread, since cloning a view clones everything behind it.
 *
 * @throws {InvalidAudioError} `not_base64`, naming the first offending character and its offset.
 */
export function decodeBase64(text: string): Uint8Array {
  // The native decoder drops what it does not understand. It is three times faster than Uint8Array.fromBase64, and
  // whether it dropped anything but line breaks can be seen from how many bytes came out.
  const decoded = Buffer.from(text, 'base64');
  if (!isExact(text, decoded.length) && !isExact(text.replace(LINE_BREAKS, ''), decoded.length)) {
    throw new InvalidAudioError('not_base64', `audio is not base64: ${describeFault(text)}`);
  }
  return new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.length);
}

/** Encodes bytes as base64 in the standard alphabet, padded, on one line. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * Whether all of `text`, which has no line breaks, went into the `decodedLength` bytes that the native decoder made of it.
 *
 * n characters make floor(3n/4) bytes. Except where n leaves 1 when divided by 4, one character fewer makes at least
 * one byte fewer, so equality proves that no character was dropped. What the decoder takes beyond the alphabet without
 * dropping it has to be looked for: `-` and `_`, and characters past U+00FF, of which it reads the low byte.
 */
function isExact(text: string, decodedLength: number): boolean {
  const padding = text.endsWith('=') ? (text.endsWith('==') ? 2 : 1) : 0;
  const significant = text.length - padding;
  return (
    significant % 4 !== 1 &&
    Math.floor((significant * 3) / 4) === decodedLength &&
    (padding === 0 || text.length % 4 === 0) &&
    !text.includes('-') &&
    !text.includes('_') &&
    Buffer.byteLength(text) === text.length
  );
}

function describeFault(text: string): string {
  const stray = /[^A-Za-z0-9+/=\r\n]/u.exec(text);
  if (stray?.[0] === ' ') return `blank at offset ${stray.index}, perhaps a "+" that was decoded as a form's`;
  if (stray) return `character ${quote(stray[0])} at offset ${stray.index}`;
  const early = /=(?=[^=]*[A-Za-z0-9+/])/.exec(text);
  if (early) return `padding character "=" at offset ${early.index} is not at the end`;
  const compact = text.replace(LINE_BREAKS, '');
  const significant = compact.replace(/=+$/, '').length;
  const padding = compact.length - significant;
  return padding === 0
    ? `${significant} characters leave a last group of a single character`
    : `${significant} characters cannot be followed by ${padding} padding character${padding === 1 ? '' : 's'} "="`;
}

function quote(character: string): string {
  const codePoint = character.codePointAt(0)!;
  const isPrintable = codePoint > 0x20 && codePoint < 0x7f;
  if (isPrintable) return `"${character}"`;
  return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
}
