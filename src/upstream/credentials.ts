import { readFileSync } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';

/** How the key goes upstream: `Authorization: Bearer …`, or the header `api-key` (Azure). `none`: it does not. */
export type AuthScheme = 'bearer' | 'api-key' | 'none';

/** As whom to connect. Files are read anew for each connection: tokens expire. */
export interface Credentials {
  readonly apiKey: string | undefined;
  /** A file with the key, or with a token that somebody else keeps fresh; in place of `apiKey`. */
  readonly apiKeyFile?: string | undefined;
  /** Absent: `bearer`. */
  readonly scheme?: AuthScheme | undefined;
  /** A JSON object of headers, which go over those of the scheme. */
  readonly headersFile?: string | undefined;
}

/**
 * The headers that say who connects.
 * @throws {Error} with one sentence when a file cannot be used
 */
export function credentialHeaders(credentials: Credentials): Record<string, string> {
  const { scheme = 'bearer', headersFile } = credentials;
  const key = scheme === 'none' ? undefined : keyOf(credentials);
  const own = key === undefined ? {} : scheme === 'api-key' ? { 'api-key': key } : { authorization: `Bearer ${key}` };
  return { ...own, ...(headersFile === undefined ? {} : headersIn(headersFile)) };
}

/** Whatever of a file's headers opens something, which is all of it. */
export function headerSecrets(headersFile: string): string[] {
  return Object.values(headersIn(headersFile));
}

function keyOf({ apiKey, apiKeyFile }: Credentials): string | undefined {
  if (apiKeyFile === undefined) return apiKey;
  const key = read('OPENAI_API_KEY_FILE', apiKeyFile).trim();
  // A header has one line; what is wrong with a key is nobody's to read.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new Error(`OPENAI_API_KEY_FILE is "${apiKeyFile}", but has no key: one line of text without blanks`);
  }
  return key;
}

function headersIn(file: string): Record<string, string> {
  const text = read('OPENAI_HEADERS_FILE', file);
  const wrong = (what: string) => new Error(`OPENAI_HEADERS_FILE is "${file}", but ${what}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser quotes what it could not read.
    throw wrong('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('it is not a JSON object');
  const headers: Record<string, string> = {};
  for (const [name, header] of Object.entries(value)) {
    if (typeof header !== 'string') throw wrong(`"${name}" is not a text`);
    try {
      validateHeaderName(name);
      validateHeaderValue(name, header);
    } catch {
      throw wrong(`"${name}" cannot be a header`);
    }
    headers[name.toLowerCase()] = header;
  }
  return headers;
}

function read(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`${variable} is "${file}", but it cannot be read: ${(cause as Error).message}`, { cause });
  }
}
