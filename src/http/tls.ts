import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** PEM texts of an HTTPS server. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Paths, as they are configured. */
export interface TlsVariables {
  readonly TLS_CERT_FILE?: string;
  readonly TLS_KEY_FILE?: string;
}

/**
 * Reads `TLS_CERT_FILE` and `TLS_KEY_FILE`; undefined when they are not set.
 * @throws {Error} naming the variable, when a file cannot be read or the two do not make an HTTPS server
 */
export function readTls({ TLS_CERT_FILE, TLS_KEY_FILE }: TlsVariables): TlsFiles | undefined {
  if (TLS_CERT_FILE === undefined || TLS_KEY_FILE === undefined) return undefined;
  const files = { cert: readText('TLS_CERT_FILE', TLS_CERT_FILE), key: readText('TLS_KEY_FILE', TLS_KEY_FILE) };
  try {
    createSecureContext(files);
  } catch (cause) {
    throw new Error(
      `TLS_CERT_FILE is "${TLS_CERT_FILE}" and TLS_KEY_FILE is "${TLS_KEY_FILE}", but together they cannot be used: ${(cause as Error).message}`,
      { cause },
    );
  }
  return files;
}

function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`${name} is "${path}", but it cannot be read: ${(cause as Error).message}`, { cause });
  }
}
