import { LegError } from '../errors.ts';

/** Fields of a message or an event, by name in lower case; values are decoded. */
export type Fields = ReadonlyMap<string, string>;

/** One message of the event socket. */
export interface EventSocketMessage {
  readonly fields: Fields;
  readonly body: string;
}

/** A channel with many variables has some 30 KB of them. */
const MAX_HEAD_BYTES = 256 * 1024;
const MAX_BODY_BYTES = 1024 * 1024;
const NAME = /^[\w.:@$/~+-]{1,256}$/;

/**
 * Cuts what FreeSWITCH sends into messages: lines of `Name: value`, an empty line, and as much body as `Content-Length`
 * says.
 */
export class MessageReader {
  #bytes: Buffer = Buffer.alloc(0);
  /** Up to here there is no end of a head. */
  #searched = 0;
  #head: Fields | undefined;
  #bodyBytes = 0;

  /**
   * The messages that `chunk` completes.
   * @throws {LegError} `garbage`: this is no event socket
   */
  push(chunk: Uint8Array): EventSocketMessage[] {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk]);
    const messages: EventSocketMessage[] = [];
    for (let message = this.#next(); message; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): EventSocketMessage | undefined {
    if (this.#head === undefined && !this.#takeHead()) return undefined;
    if (this.#bytes.length < this.#bodyBytes) return undefined;
    const body = this.#bytes.toString('utf8', 0, this.#bodyBytes);
    const fields = this.#head!;
    this.#drop(this.#bodyBytes);
    this.#head = undefined;
    return { fields, body };
  }

  #takeHead(): boolean {
    // Empty lines may stand between messages.
    let start = 0;
    while (this.#bytes[start] === 0x0a) start += 1;
    if (start > 0) this.#drop(start);
    const end = this.#bytes.indexOf('\n\n', this.#searched, 'latin1');
    if (Math.max(end, this.#bytes.length * Number(end < 0)) > MAX_HEAD_BYTES) {
      throw new LegError('garbage', 'a head without an end came over the event socket');
    }
    if (end < 0) {
      this.#searched = Math.max(0, this.#bytes.length - 1);
      // Whoever speaks something else is not waited for.
      const line = this.#bytes.indexOf('\n');
      if (line >= 0) parseFields(this.#bytes.toString('utf8', 0, line));
      return false;
    }
    this.#head = parseFields(this.#bytes.toString('utf8', 0, end));
    this.#drop(end + 2);
    const length = this.#head.get('content-length') ?? '0';
    this.#bodyBytes = /^\d{1,9}$/.test(length) ? Number(length) : Number.NaN;
    if (!(this.#bodyBytes <= MAX_BODY_BYTES)) throw new LegError('garbage', 'a Content-Length is no length');
    return true;
  }

  #drop(count: number): void {
    this.#bytes = this.#bytes.subarray(count);
    this.#searched = 0;
  }
}

/**
 * Lines of `Name: value`; where a name is repeated, the last counts.
 * @throws {LegError} `garbage`
 */
export function parseFields(text: string): Fields {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim();
    if (!NAME.test(name)) throw new LegError('garbage', 'a line without a name came over the event socket');
    fields.set(name.toLowerCase(), decoded(line.slice(colon + 1).trim()));
  }
  return fields;
}

/** FreeSWITCH writes values of events percent-encoded, and those of replies as they are. */
function decoded(value: string): string {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** A value as it may stand in a command: what would end its line is taken out. */
export function oneLine(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
  return value.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
}

/** FreeSWITCH expands what looks like a variable or a function in any argument: what others have written must not. */
export function plainValue(text: string): string {
  return oneLine(text)
    .replace(/[$\\{}]/g, '')
    .slice(0, 300);
}
