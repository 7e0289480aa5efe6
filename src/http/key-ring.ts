import { hash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { quote } from './quote.ts';
import { TENANT_ID_PATTERN } from './schemas.ts';

/** What a key may: see what was said, see whole numbers, make and end calls. */
export const PERMISSIONS = ['transcripts', 'numbers', 'calls'] as const;
export type Permission = (typeof PERMISSIONS)[number];
const EVERYTHING: readonly Permission[] = PERMISSIONS;

const TenantKeySchema = Type.Object({
  name: Type.String({ minLength: 1 }),
  sha256: Type.String({ pattern: '^[0-9a-fA-F]{64}$' }),
  tenantId: Type.String({ pattern: TENANT_ID_PATTERN }),
  may: Type.Optional(Type.Array(Type.Enum([...PERMISSIONS]))),
  budgetPerDay: Type.Optional(Type.Number({ minimum: 0 })),
});
const KeysFile = Compile(Type.Array(TenantKeySchema));
type TenantKey = Static<typeof TenantKeySchema>;

/** Who a key belongs to. `tenantId` undefined: the operator, who sees every tenant. */
export interface KeyHolder {
  readonly name: string;
  readonly tenantId: string | undefined;
  readonly may: readonly Permission[];
}

/** Who asks where there is no key: whoever is at this machine. */
export const KEYLESS: KeyHolder = { name: 'keyless', tenantId: undefined, may: EVERYTHING };
const OPERATOR: KeyHolder = { name: 'operator', tenantId: undefined, may: EVERYTHING };

export interface KeyRingOptions {
  readonly operatorKey?: string | undefined;
  /** JSON list of `{name, sha256, tenantId, may?, budgetPerDay?}`; looked at every `reloadIntervalMs`. */
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
  #tenants: Tenants = { keys: new Map(), budgets: new Map() };
  readonly #hasFile: boolean;
  /** What opened a connection last, and which keys there were. */
  readonly #opened = new WeakMap<object, { key: Buffer; holder: KeyHolder; among: unknown }>();
  readonly #timer: NodeJS.Timeout | undefined;

  /** @throws {Error} when `keysFile` cannot be read or is not such a list */
  constructor({ operatorKey, keysFile, reloadIntervalMs = 2_000, onReload }: KeyRingOptions) {
    this.#operatorDigest = operatorKey === undefined ? undefined : digestOf(operatorKey);
    this.#hasFile = keysFile !== undefined;
    if (keysFile === undefined) return;
    // Taken before the file is read: a change from here on is seen at the next look.
    let version = versionOf(keysFile);
    this.#tenants = readKeysFile(keysFile, this.#operatorDigest);
    this.#timer = setInterval(() => {
      const now = versionOf(keysFile);
      if (now === version) return;
      version = now;
      try {
        this.#tenants = readKeysFile(keysFile, this.#operatorDigest);
        onReload?.(undefined, this.tenantKeyCount);
      } catch (error) {
        // Where only a descriptor is missing, the next look reads what this one could not.
        if (isShortOfDescriptors(error)) version = 'unread';
        onReload?.(error as Error, this.tenantKeyCount);
      }
    }, reloadIntervalMs).unref();
  }

  /** How many tenants' keys there are. */
  get tenantKeyCount(): number {
    return this.#tenants.keys.size;
  }

  /** What a tenant's calls may cost a day; undefined: its keys do not say. */
  budgetOf(tenantId: string): number | undefined {
    return this.#tenants.budgets.get(tenantId);
  }

  /** Whether no key is configured at all, so that everyone who can connect may call. */
  get isOpen(): boolean {
    return this.#operatorDigest === undefined && !this.#hasFile;
  }

  /**
   * The holder of `key`; undefined when nobody holds it.
   * @param key a header's value as Node gives it: a character a byte, so that keys beyond ASCII are the bytes sent
   * @param connection what it came on: a key that has opened it before is not hashed again, until the keys change
   */
  find(key: string, connection?: object): KeyHolder | undefined {
    const bytes = Buffer.from(key, 'latin1');
    const known = connection && this.#opened.get(connection);
    // In constant time here too: behind a proxy, a connection may be that of many clients.
    if (known?.among === this.#tenants && known.key.length === bytes.length && timingSafeEqual(known.key, bytes)) {
      return known.holder;
    }
    const holder = this.holderOf(digestOf(bytes));
    if (connection && holder) this.#opened.set(connection, { key: bytes, holder, among: this.#tenants });
    return holder;
  }

  /** As {@link find}, where what is known of the key is its SHA-256. */
  holderOf(digest: Buffer): KeyHolder | undefined {
    if (this.#operatorDigest && timingSafeEqual(digest, this.#operatorDigest)) {
      return OPERATOR;
    }
    // Looking up by digest leaks nothing usable: a digest close to another says nothing about the key.
    const match = this.#tenants.keys.get(digest.toString('hex'));
    return match && timingSafeEqual(match.digest, digest) ? match.holder : undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Changes when the file does, is replaced, or goes away. Polling works on every file system, mounted ones included. */
function versionOf(path: string): string {
  try {
    const { ino, mtimeNs, size } = statSync(path, { bigint: true });
    return `${ino} ${mtimeNs} ${size}`;
  } catch (error) {
    return `none: ${(error as NodeJS.ErrnoException).code}`;
  }
}

function isShortOfDescriptors(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
}

export function digestOf(key: string | Buffer): Buffer {
  return hash('sha256', key, 'buffer');
}

/** What a keys file says. */
interface Tenants {
  readonly keys: ReadonlyMap<string, { readonly digest: Buffer; readonly holder: KeyHolder }>;
  readonly budgets: ReadonlyMap<string, number>;
}

function readKeysFile(path: string, operatorDigest: Buffer | undefined): Tenants {
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
    const where = error?.instancePath ? `entry ${error.instancePath.slice(1).replace('/', '.')}` : 'its content';
    throw refused(
      path,
      `${where} ${error?.message}: it must be a list of {name, sha256, tenantId, may?, budgetPerDay?}`,
    );
  }
  const keys = new Map<string, { digest: Buffer; holder: KeyHolder }>();
  const budgets = new Map<string, number>();
  for (const { name, sha256, tenantId, may, budgetPerDay } of list as TenantKey[]) {
    const digest = Buffer.from(sha256, 'hex');
    const twin = keys.get(sha256.toLowerCase());
    if (twin) throw refused(path, `the entries ${quote(twin.holder.name)} and ${quote(name)} are the same key`);
    if (operatorDigest?.equals(digest)) throw refused(path, `the entry ${quote(name)} is the operator's key`);
    keys.set(sha256.toLowerCase(), { digest, holder: { name, tenantId, may: may ?? EVERYTHING } });
    if (budgetPerDay === undefined) continue;
    const budget = budgets.get(tenantId) ?? budgetPerDay;
    if (budget !== budgetPerDay) {
      throw refused(path, `tenant ${quote(tenantId)} has a budgetPerDay of ${budget} and one of ${budgetPerDay}`);
    }
    budgets.set(tenantId, budget);
  }
  return { keys, budgets };
}

function refused(path: string, why: string): Error {
  return new Error(`API_KEYS_FILE is "${path}", but ${why}`);
}
