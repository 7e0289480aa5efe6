import { writeWav } from '../../src/audio/wav.ts';
import { RAW_AUDIO_TYPES } from '../../src/http/schemas.ts';
import type { Random } from './random.ts';

/** One input: a request made of parts, or bytes written to a bare connection. */
export type FuzzInput =
  | {
      readonly kind: 'request';
      readonly method: string;
      readonly path: string;
      readonly headers: Record<string, string>;
      readonly body: Buffer | undefined;
    }
  | { readonly kind: 'bytes'; readonly bytes: Buffer };

/** Keys of the gateway under test, and names of its calls: few, so that calls come again. */
export interface FuzzWorld {
  readonly operatorKey: string;
  readonly tenantKeys: readonly string[];
  readonly tenants: readonly string[];
  readonly callIds: readonly string[];
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];
/** Mostly values that a field might be given by mistake, and some that nobody would. */
const ODD_VALUES: readonly ((random: Random) => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 1.5,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER,
  () => [],
  () => ({}),
  () => [[[[[[]]]]]],
  () => '',
  (random) => random.text(40),
  (random) => random.text(2_000),
  (random) => random.int(-100, 100_000),
  (random) => [random.text(10), random.int(0, 9)],
  (random) => ({ [random.text(8)]: random.text(8) }),
  () => ({ toString: 'x', valueOf: 1, constructor: null }),
  () => '__proto__',
];

/** The next input. */
export function fuzzInput(random: Random, world: FuzzWorld): FuzzInput {
  if (random.chance(0.06)) return { kind: 'bytes', bytes: brokenHttp(random) };
  const callId = random.chance(0.85) ? random.pick(world.callIds) : encodeURIComponent(wellFormed(random.text(30)));
  const dice = random.next();
  if (dice < 0.12)
    return request(random, world, 'POST', '/api/voice/session/create', json(random, createBody(random, world)));
  if (dice < 0.45)
    return request(
      random,
      world,
      'POST',
      `/api/voice/stream/${callId}${query(random)}`,
      json(random, streamBody(random, callId)),
    );
  if (dice < 0.62)
    return request(random, world, 'POST', `/api/voice/stream/${callId}${query(random)}`, bareAudio(random));
  if (dice < 0.8) return request(random, world, 'GET', `/api/voice/stream/${callId}/response${query(random)}`);
  if (dice < 0.84) return request(random, world, 'GET', `/api/voice/session/${callId}`);
  if (dice < 0.86) return request(random, world, 'GET', `/api/voice/session/${callId}/events`);
  if (dice < 0.89) return request(random, world, 'GET', `/api/voice/sessions${query(random)}`);
  if (dice < 0.93)
    return request(
      random,
      world,
      'POST',
      `/api/voice/session/${callId}/end`,
      random.chance(0.5) ? json(random, {}) : undefined,
    );
  if (dice < 0.95)
    return request(random, world, 'GET', random.pick(['/health', '/ready', '/metrics', '/docs', '/docs/json']));
  return request(
    random,
    world,
    random.pick(METHODS),
    oddPath(random),
    random.chance(0.5) ? json(random, {}) : undefined,
  );
}

interface Content {
  readonly body: Buffer;
  readonly type: string;
}

function request(random: Random, world: FuzzWorld, method: string, path: string, content?: Content): FuzzInput {
  const used = random.chance(0.03) ? random.pick(METHODS) : method;
  return {
    kind: 'request',
    method: used,
    path,
    headers: headers(random, world, content?.type),
    body: used === 'GET' || used === 'HEAD' ? undefined : content?.body,
  };
}

function headers(random: Random, world: FuzzWorld, type: string | undefined): Record<string, string> {
  const made: Record<string, string> = {};
  const dice = random.next();
  if (dice < 0.8) made['x-api-key'] = random.pick(world.tenantKeys);
  else if (dice < 0.97) {
    made['x-api-key'] = world.operatorKey;
    if (random.chance(0.7)) made['x-tenant-id'] = random.pick(world.tenants);
  } else if (dice < 0.985) made['x-api-key'] = headerText(random);
  if (random.chance(0.04))
    made['authorization'] = random.pick([
      'Bearer',
      'Bearer x',
      `Bearer ${random.pick(world.tenantKeys)}`,
      'Basic eA==',
      headerText(random),
    ]);
  if (random.chance(0.02)) made['x-tenant-id'] = random.chance(0.7) ? random.pick(world.tenants) : headerText(random);
  if (random.chance(0.05)) made['x-request-id'] = headerText(random);
  if (random.chance(0.05)) made['x-chunk-seq'] = random.chance(0.5) ? String(random.int(-5, 50)) : headerText(random);
  if (random.chance(0.02)) made['content-encoding'] = random.pick(['gzip', 'identity', 'br', headerText(random)]);
  if (random.chance(0.02)) made['accept'] = headerText(random);
  if (random.chance(0.02)) made['x-forwarded-for'] = headerText(random);
  if (random.chance(0.01)) made['cookie'] = headerText(random);
  if (random.chance(0.02))
    made['origin'] = random.pick(['https://evil.example', 'null', 'http://localhost:1', '', headerText(random)]);
  if (random.chance(0.02)) made['sec-fetch-site'] = random.pick(['cross-site', 'same-origin', headerText(random)]);
  if (type !== undefined && random.chance(0.97)) made['content-type'] = random.chance(0.96) ? type : oddType(random);
  return made;
}

/** What a header's value can hold. */
function headerText(random: Random): string {
  return Array.from({ length: random.int(0, 60) }, () =>
    String.fromCharCode(random.pick([9, random.int(0x20, 0x7e), random.int(0x80, 0xff)])),
  ).join('');
}

function oddType(random: Random): string {
  return random.pick([
    'text/plain',
    'application/xml',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    'APPLICATION/JSON;charset="utf-8"',
    'application/json;',
    ';',
    '/',
    'audio/',
    'audio/mpeg',
    'application/octet-stream',
    headerText(random),
  ]);
}

function createBody(random: Random, world: FuzzWorld): Record<string, unknown> {
  const body: Record<string, unknown> = { callId: random.pick(world.callIds) };
  if (random.chance(0.1)) body['tenantId'] = random.pick(world.tenants);
  if (random.chance(0.3)) body['encoding'] = random.pick(['pcm16', 'pcmu', 'pcma']);
  if (random.chance(0.2)) body['sampleRate'] = random.pick([8000, 16_000, 24_000, 48_000]);
  if (random.chance(0.2)) body['callerNumber'] = random.text(30);
  if (random.chance(0.2)) body['did'] = random.text(20);
  if (random.chance(0.2)) body['storeId'] = random.text(80);
  if (random.chance(0.05)) body['aiAgentRef'] = random.text(20);
  return mutate(random, body, ['callId', 'tenantId', 'encoding', 'sampleRate', 'did', 'aiAgentRef', 'storeId']);
}

function streamBody(random: Random, callId: string): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (random.chance(0.95)) body['audio'] = base64(random, audio(random));
  // Half of the calls number their chunks, mostly; so do wild jumps come.
  const isNumbering = /[02468]$/.test(callId);
  if (random.chance(isNumbering ? 0.95 : 0.03))
    body['chunkSeq'] = random.chance(0.99) ? random.int(0, 300) : random.int(0, 2_147_483_647);
  if (random.chance(0.1))
    body['dtmf'] = random.chance(0.7) ? random.pick(['1', '23#', '*', 'ABCD', '0'.repeat(64)]) : random.text(10);
  if (random.chance(0.1)) body['playedMs'] = random.int(-10, 100_000);
  if (random.chance(0.1)) body['generation'] = random.int(-1, 3);
  return mutate(random, body, ['audio', 'chunkSeq', 'dtmf', 'playedMs', 'generation']);
}

function mutate(random: Random, body: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> {
  while (random.chance(0.25)) {
    const field = random.chance(0.9) ? random.pick(fields) : random.text(12);
    if (random.chance(0.15)) delete body[field];
    else body[field] = random.pick(ODD_VALUES)(random);
  }
  return body;
}

/** Samples, a WAV file that may be damaged, or anything. */
function audio(random: Random): Buffer {
  const dice = random.next();
  if (dice < 0.4) return random.bytes(random.int(0, 320) * 2);
  if (dice < 0.5) return Buffer.alloc(random.int(0, 20_000), random.int(0, 255));
  if (dice < 0.6) return random.bytes(random.int(0, 400));
  if (dice < 0.602) return Buffer.alloc(random.int(100_000, 2_000_000), 1);
  const rateHz = random.pick([8000, 16_000, 24_000, 48_000]);
  const channels = random.pick([1, 1, 2]);
  const file = Buffer.from(writeWav(new Int16Array(random.int(0, 200) * channels), rateHz, channels));
  if (dice < 0.75) return file;
  for (let times = random.int(1, 4); times > 0; times--) damage(random, file);
  return random.chance(0.3) ? file.subarray(0, random.int(0, file.length)) : file;
}

function damage(random: Random, file: Buffer): void {
  const at = random.int(0, Math.min(43, file.length - 4));
  if (random.chance(0.4)) file[at] = random.int(0, 255);
  else if (random.chance(0.5))
    file.writeUInt32LE(random.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff0]), at);
  else
    file.write(
      random.pick(['RIFX', 'RF64', 'data', 'fmt ', 'LIST', 'WAVE']),
      Math.min(at - (at % 4), file.length - 4),
      'latin1',
    );
}

function base64(random: Random, bytes: Buffer): string {
  const text = bytes.toString('base64');
  const dice = random.next();
  if (dice < 0.75) return text;
  if (dice < 0.8) return text.replace(/(.{76})/g, '$1\n');
  if (dice < 0.84) return text.slice(0, random.int(0, text.length));
  if (dice < 0.88) return bytes.toString('base64url');
  if (dice < 0.92) return `${text.slice(0, text.length / 2)}${random.text(4)}${text.slice(text.length / 2)}`;
  if (dice < 0.96) return `data:audio/wav;base64,${text}`;
  return bytes.toString('hex');
}

function bareAudio(random: Random): Content {
  const rate = random.pick([
    '',
    ';rate=8000',
    ';rate=16000',
    '; rate=48000',
    ';rate=44100',
    ';rate=',
    `;rate=${wellFormed(random.text(6)).replace(/[^\x20-\x7e]/g, '')}`,
  ]);
  const more = random.pick([
    '',
    '',
    ';endianness=big-endian',
    ';channels=1',
    ';channels=2',
    ';endianness=x',
    ';;=',
    ';a="b;c"',
  ]);
  return { body: audio(random), type: random.pick(RAW_AUDIO_TYPES) + rate + more };
}

/** A body of JSON, sometimes not quite. */
function json(random: Random, value: Record<string, unknown>): Content {
  let text = JSON.stringify(value);
  const dice = random.next();
  if (dice > 0.995) {
    const depth = random.pick([40, 20_000, 200_000]);
    text = random.pick([
      () => '['.repeat(depth) + ']'.repeat(depth),
      () => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
      () => `{"audio":${'['.repeat(depth)}${']'.repeat(depth)}}`,
      () => `[${'0,'.repeat(depth)}0]`,
      () => `{"audio":"${'\\"'.repeat(depth)}"}`,
    ])();
  } else if (dice > 0.99) text = `{"__proto__":{"x":1},${text.slice(1)}`;
  else if (dice > 0.98) text = text.slice(0, random.int(0, text.length));
  else if (dice > 0.97) text = `\ufeff${text}`;
  else if (dice > 0.96) text = random.text(200);
  else if (dice > 0.95) text = JSON.stringify(random.pick(ODD_VALUES)(random)) ?? '';
  const body = dice < 0.005 ? Buffer.from(text, 'utf16le') : Buffer.from(text);
  if (random.chance(0.01) && body.length > 0) body[random.int(0, body.length - 1)] = random.int(0, 255);
  return { body, type: 'application/json' };
}

function query(random: Random): string {
  if (random.chance(0.4)) return random.pick(['', '?timeout=0', '?timeout=5', '?timeout=20', '?poll=1']);
  const parts: string[] = [];
  for (let times = random.int(1, 4); times > 0; times--) {
    const name = random.pick([
      'timeout',
      'ack',
      'maxMs',
      'playedMs',
      'generation',
      'poll',
      'limit',
      encodeURIComponent(wellFormed(random.text(6))),
    ]);
    // No poll is to wait for long: what is valid of `timeout` is short here.
    const value =
      name === 'timeout'
        ? random.pick(['0', '3', '-1', '60001', '1e3', '', 'x', '0x1', '1.5', '%20', '%00'])
        : random.pick([
            '0',
            '1',
            '-1',
            '5',
            '60',
            '1e3',
            '',
            'NaN',
            '99999999999999999999',
            '%F0%9F',
            '1.25',
            encodeURIComponent(wellFormed(random.text(8))),
          ]);
    parts.push(
      random.chance(0.95)
        ? `${name}=${value}`
        : random.pick(['&', '=', '==', name, `${name}[]=${value}`, `${name}[x]=${value}`]),
    );
  }
  return `?${parts.join('&')}`;
}

function oddPath(random: Random): string {
  const part = () =>
    random.pick([
      'api',
      'voice',
      'session',
      'stream',
      'sessions',
      'response',
      'create',
      'end',
      '..',
      '.',
      '',
      '%2e%2e',
      '%00',
      '%',
      '%zz',
      '%E0%A4%A',
      'docs',
      'static',
      'x'.repeat(random.int(1, 3000)),
      encodeURIComponent(wellFormed(random.text(20))),
    ]);
  return `/${Array.from({ length: random.int(0, 7) }, part).join('/')}${random.chance(0.3) ? query(random) : ''}`;
}

function wellFormed(text: string): string {
  return text.toWellFormed();
}

/** Requests that no client library would send. */
function brokenHttp(random: Random): Buffer {
  const head = (line: string, ...lines: string[]) => `${[line, 'host: x', ...lines].join('\r\n')}\r\n\r\n`;
  const path = '/api/voice/stream/fuzz-0';
  const text = random.pick([
    () => random.bytes(random.int(1, 400)).toString('latin1'),
    () => head(`GET ${random.text(40)} HTTP/1.1`),
    () => head(`GET /health HTTP/${random.pick(['0.9', '1.2', '2.0', 'x', ''])}`),
    () => head(`${random.pick(['BREW', 'get', 'CONNECT', 'TRACE', 'M-SEARCH', 'PRI'])} ${path} HTTP/1.1`),
    () =>
      head(`POST ${path} HTTP/1.1`, 'content-type: application/json', 'content-length: 10', 'content-length: 11') +
      '{}',
    () =>
      `${head(
        `POST ${path} HTTP/1.1`,
        'content-type: application/json',
        `content-length: ${random.pick(['-1', 'x', '1e3', '99999999999999999999'])}`,
      )}{}`,
    () => `${head(`POST ${path} HTTP/1.1`, 'content-length: 5', 'transfer-encoding: chunked')}0\r\n\r\n`,
    () =>
      head(`POST ${path} HTTP/1.1`, 'content-type: audio/pcm', 'transfer-encoding: chunked') +
      random.pick(['x\r\n', 'fffffffff\r\n', '5\r\nab', '-1\r\n\r\n', '0\r\n', '2\r\nabc\r\n0\r\n\r\n']),
    () => `${head(`POST ${path} HTTP/1.1`, 'content-type: application/json', 'content-length: 1000')}{"audio":"`,
    () => head('GET /health HTTP/1.1', `x-${'y'.repeat(random.int(1, 20_000))}: ${'z'.repeat(random.int(0, 20_000))}`),
    () => head('GET /health HTTP/1.1', ...Array.from({ length: random.int(1, 3000) }, (_, i) => `x-${i}: 1`)),
    () => head('GET /health HTTP/1.1', 'x: a\rb', 'y:\n z'),
    () => head('GET /health HTTP/1.1', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-key: x'),
    () =>
      head(`POST ${path} HTTP/1.1`, 'expect: 100-continue', 'content-length: 2', 'content-type: application/json') +
      '{}',
    () => head(`POST ${path} HTTP/1.1`, 'expect: something-else', 'content-length: 2'),
    () => head(`GET ${'/x'.repeat(random.int(1, 10_000))} HTTP/1.1`),
    () => `GET /health HTTP/1.1\nhost: x\n\n`,
    () => `${head('GET /health HTTP/1.1')}${head('GET /ready HTTP/1.1')}${random.bytes(40).toString('latin1')}`,
    () =>
      head(random.pick(['GET /docs/json HTTP/1.1', `GET ${path}/response?timeout=0 HTTP/1.1`])).repeat(
        random.int(2, 100),
      ),
    () => head('GET / HTTP/1.1').repeat(random.int(500, 2_000)),
    () => head('GET /health HTTP/1.1', 'host: y'),
    () =>
      `${head('POST /nope HTTP/1.1', 'content-length: 100000')}${'['.repeat(100_000)}${head('GET /health HTTP/1.1')}`,
    () => '\r\n\r\n\r\n',
    () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ])();
  return Buffer.from(text, 'latin1');
}
