import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const TenantKeySchema = Type.Object({
  name: Type.String({ minLength: 1 }),
  sha256: Type.String({ pattern: '^[0-9a-fA-F]{64}$' }),
  tenantId: Type.String({ minLength: 1 }),
});
const KeysFile = Compile(Type.Array(TenantKeySchema));
type TenantKey = Static<typeof TenantKeySchema>;

/** Who a key belongs to. `tenantId` undefined: the operator, who sees every tenant. */
export interface KeyHolder {
  readonly name: string;
  readonly tenantId: string | undefined;
}

export interface KeyRingOptions {
  readonly operatorKey?: string | undefined;
  /** JSON list of `{name, sha256, tenantId}`; looked at every `reloadIntervalMs`. */
  readonly keysFile?: string | undefined;
  readonly reloadIntervalMs?: number;
  /** Told when the file was read again, or why it was refused and the old keys stay. */
  readonly onReload?: (problem: Error | undefined, keyCount: number) => void;
}

/**
 * The keys that open the API. Only digests are kept; a presented key is hashed and digests are compared in constant
 * time. Whoever creates a ring closes it.
 */
export class KeyRing {
  #operatorDigest: Buffer | undefined;
  #tenantKeys = new Map<string, { digest: Buffer; holder: KeyHolder }>();
  #keysFile: string | undefined;

  /** @throws {Error} when `keysFile` cannot be read or is not such a list */
  constructor({ operatorKey, keysFile, reloadIntervalMs = 2_000, onReload }: KeyRingOptions) {
    this.#operatorDigest = operatorKey === undefined ? undefined : digestOf(operatorKey);
    this.#keysFile = keysFile;
    if (keysFile === undefined) return;
    this.#tenantKeys = readKeysFile(keysFile);
    watchFile(keysFile, { interval: reloadIntervalMs, persistent: false }, () => {
      try {
        this.#tenantKeys = readKeysFile(keysFile);
        onReload?.(undefined, this.#tenantKeys.size);
      } catch (error) {
        onReload?.(error as Error, this.#tenantKeys.size);
      }
    });
  }

  /** Whether no key is configured at all, so that everyone who can connect may call. */
  get isOpen(): boolean {
    return this.#operatorDigest === undefined && this.#keysFile === undefined;
  }

  /** The holder of `key`; undefined when nobody holds it. */
  find(key: string): KeyHolder | undefined {
    const digest = digestOf(key);
    if (this.#operatorDigest && timingSafeEqual(digest, this.#operatorDigest)) {
      return { name: 'operator', tenantId: undefined };
    }
    // Looking up by digest leaks nothing usable: a digest close to another says nothing about the key.
    const match = this.#tenantKeys.get(digest.toString('hex'));
    return match && timingSafeEqual(match.digest, digest) ? match.holder : undefined;
  }

  close(): void {
    if (this.#keysFile !== undefined) unwatchFile(this.#keysFile);
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function readKeysFile(path: string): Map<string, { digest: Buffer; holder: KeyHolder }> {
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`API_KEYS_FILE is "${path}", but it cannot be read as JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!KeysFile.Check(list)) {
    const [error] = KeysFile.Errors(list);
    throw new Error(
      `API_KEYS_FILE is "${path}", but ${error?.instancePath || 'its content'} ${error?.message}: it must be a list of {name, sha256, tenantId}`,
    );
  }
  return new Map(
    (list as TenantKey[]).map(({ name, sha256, tenantId }) => [
      sha256.toLowerCase(),
      { digest: Buffer.from(sha256, 'hex'), holder: { name, tenantId } },
    ]),
  );
}
