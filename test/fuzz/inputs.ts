import { writeWav } from '../../src/audio/wav.ts';

/** One request to throw at the gateway. */
export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Buffer;
}

/** Random numbers that a seed gives again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 0 ≤ n < 1. */
  next(): number {
    // Mulberry32.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }
}

const STRANGE_VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  Number.MAX_SAFE_INTEGER,
  '',
  ' ',
  '0',
  '-1',
  'null',
  '../../etc/passwd',
  '%00',
  '\u0000',
  '😀',
  '__proto__',
  'x'.repeat(300),
  [],
  [[]],
  {},
  { a: { b: {} } },
];

const WAV = Buffer.from(writeWav(Int16Array.from({ length: 800 }, (_, n) => n * 7), 16_000));
const AUDIO = Buffer.alloc(640, 3).toString('base64');
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'];
const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'text/plain',
  'application/x-www-form-urlencoded',
  'audio/wav',
  'audio/pcm',
  'audio/pcm;rate=8000',
  'audio/pcm;rate=44100',
  'audio/l16;rate=16000;endianness=big-endian',
  'audio/l16;channels=2',
  'audio/pcmu',
  'audio/pcma',
  'audio/;',
  ';;;',
  '',
];

/** Requests of every kind, for calls that exist and calls that do not. */
export class FuzzInputs {
  readonly #random: Random;
  readonly #callIds: readonly string[];

  constructor(seed: number, callIds: readonly string[]) {
    this.#random = new Random(seed);
    this.#callIds = callIds;
  }

  next(): FuzzRequest {
    const random = this.#random;
    const callId = random.next() < 0.8 ? random.pick(this.#callIds) : encodeURIComponent(this.#text());
    switch (random.below(8)) {
      case 0:
        return this.#json('POST', '/api/voice/session/create', this.#createBody());
      case 1:
      case 2:
        return this.#json('POST', `/api/voice/stream/${callId}${this.#query()}`, this.#streamBody());
      case 3:
        return this.#raw(`/api/voice/stream/${callId}${this.#query()}`);
      case 4:
        return this.#get(`/api/voice/stream/${callId}/response${this.#query('timeout=0')}`);
      case 5:
        return this.#get(
          random.pick([`/api/voice/session/${callId}`, `/api/voice/session/${callId}/events`, '/api/voice/sessions', '/ready']),
        );
      case 6:
        // Calls that others still use are ended by nobody.
        return this.#json('POST', `/api/voice/session/${encodeURIComponent(this.#text())}/end`, this.#value());
      default:
        return {
          method: random.pick(METHODS),
          path: random.pick(['/', '//', '/api', `/api/voice/${encodeURIComponent(this.#text())}`, '/docs/../x', '/health?x=%ff']),
          headers: this.#headers(),
        };
    }
  }

  #createBody(): unknown {
    const random = this.#random;
    if (random.next() < 0.1) return this.#value();
    const body: Record<string, unknown> = { callId: this.#value() };
    for (const field of ['tenantId', 'storeId', 'did', 'callerNumber', 'aiAgentRef', 'encoding', 'sampleRate', 'x']) {
      if (random.next() < 0.4) body[field] = this.#value();
    }
    // A profile that does not exist: what is valid otherwise must not open hundreds of sessions.
    if (typeof body['callId'] === 'string') body['aiAgentRef'] = 'no-such-agent';
    return body;
  }

  #streamBody(): unknown {
    const random = this.#random;
    if (random.next() < 0.1) return this.#value();
    const body: Record<string, unknown> = {};
    if (random.next() < 0.9) body['audio'] = this.#audio();
    if (random.next() < 0.3) body['chunkSeq'] = random.pick([random.below(50), this.#value()]);
    if (random.next() < 0.2) body['dtmf'] = random.pick(['1', '*#', 'zz', this.#value()]);
    if (random.next() < 0.2) body['playedMs'] = this.#value();
    if (random.next() < 0.2) body['generation'] = this.#value();
    return body;
  }

  #audio(): unknown {
    const random = this.#random;
    switch (random.below(7)) {
      case 0:
        return this.#value();
      case 1:
        return random.bytes(random.below(400)).toString('base64');
      case 2:
        return random.bytes(random.below(200)).toString('latin1');
      case 3:
        return this.#mutated(WAV).toString('base64');
      case 4:
        return `${AUDIO.slice(0, random.below(AUDIO.length))}${random.pick(['', '=', '==', '\n', '-', '_', '\u0141'])}`;
      default:
        return AUDIO;
    }
  }

  #raw(path: string): FuzzRequest {
    const random = this.#random;
    const body = random.pick([this.#mutated(WAV), random.bytes(random.below(2_000)), Buffer.alloc(0)]);
    const headers: Record<string, string> = { ...this.#headers(), 'content-type': random.pick(CONTENT_TYPES) };
    if (random.next() < 0.3) headers['x-chunk-seq'] = random.pick(['0', '1', '-1', 'x', '99999999999']);
    return { method: 'POST', path, headers, body };
  }

  #json(method: string, path: string, value: unknown): FuzzRequest {
    const random = this.#random;
    const text = Buffer.from(JSON.stringify(value) ?? '');
    const body = random.next() < 0.15 ? this.#mutated(text) : text;
    const type = random.next() < 0.9 ? 'application/json' : random.pick(CONTENT_TYPES);
    return { method, path, headers: { ...this.#headers(), 'content-type': type }, body };
  }

  #get(path: string): FuzzRequest {
    return { method: 'GET', path, headers: this.#headers() };
  }

  #headers(): Record<string, string> {
    const random = this.#random;
    const headers: Record<string, string> = {};
    if (random.next() < 0.1) headers['x-request-id'] = random.pick(['a', 'x'.repeat(500), '{}']);
    if (random.next() < 0.1) headers['x-tenant-id'] = random.pick(['default', 'other', 'x'.repeat(300)]);
    if (random.next() < 0.1) headers['content-encoding'] = random.pick(['gzip', 'br', 'identity', 'x']);
    if (random.next() < 0.1) headers['accept'] = random.pick(['*/*', 'text/html', 'application/openmetrics-text']);
    return headers;
  }

  #query(always = ''): string {
    const random = this.#random;
    const parts = always === '' ? [] : [always];
    for (const name of ['poll', 'ack', 'maxMs', 'playedMs', 'generation', 'limit', 'x']) {
      if (random.next() < 0.2) parts.push(`${name}=${encodeURIComponent(String(random.pick([0, 1, 60, this.#value()])))}`);
    }
    return parts.length > 0 ? `?${parts.join('&')}` : '';
  }

  #value(): unknown {
    return this.#random.next() < 0.7 ? this.#random.pick(STRANGE_VALUES) : this.#text();
  }

  #text(): string {
    // A lone surrogate cannot be part of a URL.
    return this.#random.bytes(this.#random.below(40)).toString(this.#random.pick(['latin1', 'utf8', 'hex', 'base64']));
  }

  #mutated(original: Buffer): Buffer {
    const random = this.#random;
    const copy = Buffer.from(original.subarray(0, random.next() < 0.3 ? random.below(original.length + 1) : original.length));
    for (let i = random.below(6); i > 0 && copy.length > 0; i--) copy[random.below(copy.length)] = random.below(256);
    return copy;
  }
}
