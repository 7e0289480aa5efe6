import { randomBytes } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** `length` random characters of A–Z, a–z and 0–9. */
export function randomText(length: number): string {
  let text = '';
  for (const byte of randomBytes(length)) text += ALPHABET[byte % ALPHABET.length];
  return text;
}

/**
 * Ids of one connection, shaped like the service's: a prefix, an underscore and 21 characters (16 for calls). The first
 * characters are the connection's own and the rest counts, so making an id costs no randomness.
 */
export class IdSource {
  readonly #stem = randomText(12);
  #count = 0;

  next(prefix: 'event' | 'item' | 'resp' | 'sess' | 'conv'): string {
    this.#count += 1;
    return `${prefix}_${this.#stem}${this.#count.toString(36).padStart(9, '0')}`;
  }

  nextCall(): string {
    return `call_${randomText(16)}`;
  }
}

const PADDING = randomText(64);

/** The random padding the service adds to text deltas against traffic analysis: 1 to 16 characters. */
export function obfuscation(): string {
  const length = 1 + Math.floor(Math.random() * 16);
  return PADDING.slice(length, 2 * length);
}
