const CR = 13;
const LF = 10;
/** A head, or a chunk's line, longer than this is no answer. */
const MAX_LINE_BYTES = 16_384;

/** Told what an answer consists of. */
export interface AnswerListener {
  onHead(status: number): void;
  /** A part of the body. Valid only during the call. */
  onBody(bytes: Uint8Array): void;
  /** The body is whole. */
  onEnd(): void;
}

type State = 'head' | 'size' | 'data' | 'data end' | 'trailer' | 'counted' | 'until closed' | 'done';

/**
 * Reads one HTTP/1.1 answer as it comes in, without copying its body: what Node's own client spends on a stream of
 * frames is more than the generator spends on all the rest of a call.
 */
export class AnswerParser {
  readonly #listener: AnswerListener;
  #state: State = 'head';
  #line = '';
  #head: string[] = [];
  /** Bytes that are left of the chunk, or of a counted body. */
  #left = 0;

  constructor(listener: AnswerListener) {
    this.#listener = listener;
  }

  /** The whole answer has come. */
  get isDone(): boolean {
    return this.#state === 'done';
  }

  /** @throws {Error} when it is no HTTP */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data' || this.#state === 'counted' || this.#state === 'until closed') {
        const part = bytes.subarray(at, Math.min(bytes.length, at + this.#left));
        at += part.length;
        this.#left -= part.length;
        this.#listener.onBody(part);
        if (this.#left > 0) continue;
        if (this.#state === 'counted') this.#end();
        else this.#state = 'data end';
        continue;
      }
      const byte = bytes[at++]!;
      if (byte === LF) {
        const line = this.#line;
        this.#line = '';
        this.#onLine(line);
      } else if (byte !== CR) {
        this.#line += String.fromCharCode(byte);
        if (this.#line.length > MAX_LINE_BYTES) throw new Error('a line of the answer has no end');
      }
    }
  }

  /** The connection ended: so does a body without a length. */
  closed(): void {
    if (this.#state === 'until closed') this.#end();
  }

  #onLine(line: string): void {
    switch (this.#state) {
      case 'head':
        if (line !== '') this.#head.push(line);
        else this.#onHead();
        break;
      case 'size': {
        this.#left = Number.parseInt(line, 16);
        if (Number.isNaN(this.#left)) throw new Error(`"${line.slice(0, 20)}" is no length of a chunk`);
        this.#state = this.#left === 0 ? 'trailer' : 'data';
        break;
      }
      case 'data end':
        this.#state = 'size';
        break;
      case 'trailer':
        if (line === '') this.#end();
        break;
    }
  }

  #onHead(): void {
    const [first = '', ...fields] = this.#head;
    this.#head = [];
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
    if (Number.isNaN(status)) throw new Error(`"${first.slice(0, 20)}" is no HTTP`);
    // 100 Continue and its like are before the answer.
    if (status < 200) return;
    const field = (name: string) =>
      fields
        .find((line) => line.toLowerCase().startsWith(`${name}:`))
        ?.slice(name.length + 1)
        .trim()
        .toLowerCase();
    const length = field('content-length');
    this.#listener.onHead(status);
    if (field('transfer-encoding')?.includes('chunked')) this.#state = 'size';
    else if (length === undefined) this.#untilClosed();
    else {
      this.#left = Number(length);
      this.#state = 'counted';
      if (this.#left === 0) this.#end();
    }
  }

  #untilClosed(): void {
    this.#left = Number.POSITIVE_INFINITY;
    this.#state = 'until closed';
  }

  #end(): void {
    this.#state = 'done';
    this.#listener.onEnd();
  }
}
