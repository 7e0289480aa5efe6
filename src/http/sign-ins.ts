import { hash, randomBytes } from 'node:crypto';

/** Longest that somebody stays signed in, whatever they do. */
export const SIGN_IN_MS = 12 * 3_600_000;
/** Longest that somebody stays signed in who does nothing. */
export const SIGN_IN_IDLE_MS = 2 * 3_600_000;
const MAX_SIGN_INS = 1_000;

interface SignIn {
  readonly keyDigest: Buffer;
  readonly sinceMs: number;
  usedAtMs: number;
}

/**
 * Who is signed in. A browser holds a random token, of which only the hash is here; behind it is the digest of the key that
 * signed in, and whether that key is still good is asked anew each time. Nothing of it outlives the process.
 */
export class SignIns {
  readonly #nowMs: () => number;
  /** By the hash of the token, the one that was used last at the end. */
  readonly #open = new Map<string, SignIn>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Signs somebody in. @returns the token */
  open(keyDigest: Buffer): string {
    const token = randomBytes(32).toString('base64url');
    const nowMs = this.#nowMs();
    this.#open.set(printOf(token), { keyDigest, sinceMs: nowMs, usedAtMs: nowMs });
    if (this.#open.size > MAX_SIGN_INS) {
      const [longestUnused] = this.#open.keys();
      this.#open.delete(longestUnused!);
    }
    return token;
  }

  /** The digest of the key that signed in with this token; undefined: nobody, or not any more. */
  use(token: string): Buffer | undefined {
    // Looked up by a hash: how long that takes says nothing of tokens that are good.
    const print = printOf(token);
    const signIn = this.#open.get(print);
    if (!signIn) return undefined;
    const nowMs = this.#nowMs();
    this.#open.delete(print);
    if (nowMs - signIn.sinceMs > SIGN_IN_MS || nowMs - signIn.usedAtMs > SIGN_IN_IDLE_MS) return undefined;
    signIn.usedAtMs = nowMs;
    this.#open.set(print, signIn);
    return signIn.keyDigest;
  }

  /** Signs out. Idempotent. */
  close(token: string): void {
    this.#open.delete(printOf(token));
  }
}

function printOf(token: string): string {
  return hash('sha256', token, 'base64');
}
