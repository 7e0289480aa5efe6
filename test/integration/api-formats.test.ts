import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mixToMono } from '../../src/audio/pcm16.ts';
import { createResamplerState, flushResampler, resample } from '../../src/audio/resampler.ts';
import type { SampleRateHz } from '../../src/audio/sample-rates.ts';
import { writeWav } from '../../src/audio/wav.ts';
import type { SimulatorConnection } from '../../src/simulator/server.ts';
import { type Answer, http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet' },
    simulator: { mode: 'loopback', captureAudio: true },
    profiles: { quiet: QUIET_PROFILE },
    overrides: { connectsPerSecond: 1000 },
  });
});
afterAll(() => gateway.stop());

let count = 0;
/** A call and the upstream's end of it. */
async function connected(body: object = {}): Promise<{ call: TestCall; upstream: SimulatorConnection }> {
  const call = new TestCall(gateway.url, `format-${++count}`);
  const opened = gateway.simulator.waitForConnection();
  expect((await call.create(body)).status).toBe(200);
  return { call, upstream: await opened };
}

/** A tone beside a constant, so that no sample is silence. */
function signal(rateHz: number, ms: number, hz = 440): Int16Array {
  const samples = new Int16Array((rateHz * ms) / 1000);
  for (let i = 0; i < samples.length; i++) samples[i] = 9000 + 6000 * Math.sin((2 * Math.PI * hz * i) / rateHz);
  return samples;
}

const bytesOf = (samples: Int16Array) => Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
const samplesOf = (bytes: Uint8Array) => new Int16Array(new Uint8Array(bytes).buffer);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16();

/** All but silence, which the gateway puts in where the client was slow. */
function voiced(bytes: Uint8Array): Buffer {
  return bytesOf(samplesOf(bytes).filter((sample) => sample !== 0));
}
function print(bytes: Uint8Array): string {
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** What the upstream gets of samples that come in one run of one rate: all that is known at its end. */
function upstreamOf(samples: Int16Array, rateHz: SampleRateHz, isFlushed = false): Buffer {
  const state = createResamplerState(rateHz, 24_000);
  const known = bytesOf(resample(state, samples));
  return isFlushed ? Buffer.concat([known, bytesOf(flushResampler(state))]) : known;
}

async function expectUpstream(upstream: SimulatorConnection, ...expected: Buffer[]): Promise<void> {
  await expect
    .poll(() => print(voiced(upstream.receivedAudio())), { timeout: 10_000 })
    .toBe(print(voiced(Buffer.concat(expected))));
}

function bare(call: TestCall, type: string, bytes: Uint8Array): Promise<Answer> {
  return http('POST', `${gateway.url}/api/voice/stream/${call.callId}`, Buffer.from(bytes), { 'content-type': type });
}

async function streamed(answer: Promise<Answer>): Promise<void> {
  expect((await answer).body).toEqual({ status: 'streamed', generation: 0 });
}

describe('base64', () => {
  const samples = signal(24_000, 200);
  const plain = base64(bytesOf(samples));
  it.each([
    ['on one line', plain],
    ['wrapped at 76 characters, as coreutils does', plain.replace(/(.{76})/g, '$1\n')],
    ['wrapped with CRLF, and a line end at the end', `${plain.replace(/(.{64})/g, '$1\r\n')}\r\n`],
    ['wrapped with bare carriage returns, and empty lines', plain.replace(/(.{76})/g, '$1\r\r')],
    ['without padding', plain.replace(/=+$/, '')],
  ])('%s is the same audio', async (_how, audio) => {
    const { call, upstream } = await connected({ sampleRate: 24_000 });
    await streamed(call.send({ audio }));
    await expectUpstream(upstream, bytesOf(samples));
  });
});

describe('the rate of a call', () => {
  it.each([8000, 16_000, 24_000, 48_000] as const)('%i Hz goes up at 24 kHz, however it is cut', async (rateHz) => {
    const { call, upstream } = await connected({ sampleRate: rateHz });
    const samples = signal(rateHz, 1000);
    let at = 0;
    for (const ms of [20, 100, 1, 60, 319, 500]) {
      const next = at + (ms * rateHz) / 1000;
      await streamed(call.send(bytesOf(samples.subarray(at, next))));
      at = next;
    }
    await expectUpstream(upstream, upstreamOf(samples, rateHz));
  });

  it.each([8000, 16_000, 24_000, 48_000] as const)('comes back at %i Hz, in frames of 60 ms', async (rateHz) => {
    const { call, upstream } = await connected({ sampleRate: rateHz });
    await streamed(call.send(bytesOf(signal(rateHz, 600))));
    const frameBytes = (rateHz * 60 * 2) / 1000;
    const heard = () => Buffer.concat(call.heard);
    await call.pollUntil(() => heard().length >= 9 * frameBytes);
    expect(heard().length % frameBytes).toBe(0);
    // What came back is what the upstream sent, which is what it got.
    const state = createResamplerState(24_000, rateHz);
    const expected = bytesOf(resample(state, samplesOf(upstream.receivedAudio())));
    expect(print(heard())).toBe(print(expected.subarray(0, heard().length)));
  });

  it('is 16000 Hz unless told', async () => {
    const { call, upstream } = await connected();
    await streamed(call.send(bytesOf(signal(16_000, 100))));
    await expectUpstream(upstream, upstreamOf(signal(16_000, 100), 16_000));
    expect((await call.info()).body).toMatchObject({ encoding: 'pcm16', sampleRate: 16_000 });
  });
});

describe('WAV files', () => {
  it.each([8000, 16_000, 24_000, 48_000] as const)('of %i Hz bring their own rate', async (rateHz) => {
    const { call, upstream } = await connected({ sampleRate: 16_000 });
    const samples = signal(rateHz, 300);
    await streamed(call.send({ audio: base64(writeWav(samples, rateHz)) }));
    await expectUpstream(upstream, upstreamOf(samples, rateHz));
  });

  it('in stereo become mono', async () => {
    const { call, upstream } = await connected();
    const left = signal(48_000, 200, 300);
    const right = signal(48_000, 200, 500);
    const both = new Int16Array(left.length * 2);
    for (let i = 0; i < left.length; i++) both.set([left[i]!, right[i]!], i * 2);
    await streamed(call.send({ audio: base64(writeWav(both, 48_000, 2)) }));
    await expectUpstream(upstream, upstreamOf(mixToMono(both, 2), 48_000));
  });

  it('may be a whole recorded call, bare or in base64', async () => {
    const file = readFileSync(fileURLToPath(new URL('../../fixtures/calls/invoice-48k-stereo.wav', import.meta.url)));
    const stereo = samplesOf(file.subarray(44));
    const expected = upstreamOf(mixToMono(stereo, 2), 48_000);
    for (const send of [
      (call: TestCall) => call.send({ audio: base64(file) }),
      (call: TestCall) => bare(call, 'audio/wav', file),
      (call: TestCall) => bare(call, 'audio/x-wav', file),
    ]) {
      const { call, upstream } = await connected();
      await streamed(send(call));
      await expectUpstream(upstream, expected);
    }
  });

  it('from a writer that does not know the length are read to their end', async () => {
    const { call, upstream } = await connected();
    const samples = signal(16_000, 100);
    const file = Buffer.from(writeWav(samples, 16_000));
    file.writeUInt32LE(0xffff_ffff, 4);
    file.writeUInt32LE(0xffff_ffff, 40);
    await streamed(call.send({ audio: base64(file) }));
    await expectUpstream(upstream, upstreamOf(samples, 16_000));
  });
});

describe('bare audio', () => {
  const at24k = bytesOf(signal(24_000, 200));
  it.each([
    ['audio/pcm', at24k],
    ['audio/pcm;rate=24000', at24k],
    ['audio/l16', at24k],
    ['audio/l16; rate=24000; endianness=little-endian', at24k],
    ['audio/L16;endianness=big-endian', swapped(at24k)],
    ['audio/pcm;rate=24000;endianness=big-endian', swapped(at24k)],
  ])('%s', async (type, bytes) => {
    const { call, upstream } = await connected({ sampleRate: 24_000 });
    await streamed(bare(call, type, bytes));
    await expectUpstream(upstream, at24k);
  });

  it('at a rate that is not the one of the call', async () => {
    const { call, upstream } = await connected({ sampleRate: 16_000 });
    await streamed(bare(call, 'audio/l16;rate=8000', bytesOf(signal(8000, 300))));
    await expectUpstream(upstream, upstreamOf(signal(8000, 300), 8000));
  });

  it('is not mistaken for a WAV file when its type says what it is', async () => {
    const { call, upstream } = await connected({ sampleRate: 24_000 });
    const wav = Buffer.from(writeWav(signal(24_000, 60), 24_000));
    await streamed(bare(call, 'audio/pcm', wav));
    await expectUpstream(upstream, wav);
  });
});

describe('a rate that changes during the call', () => {
  it('ends one filter and starts the next, and loses no sample', async () => {
    const { call, upstream } = await connected({ sampleRate: 16_000 });
    const parts = [
      signal(16_000, 300),
      signal(8000, 300),
      signal(24_000, 300),
      signal(48_000, 300),
      signal(16_000, 300),
    ];
    await streamed(call.send(bytesOf(parts[0]!)));
    await streamed(bare(call, 'audio/pcm;rate=8000', bytesOf(parts[1]!)));
    await streamed(bare(call, 'audio/pcm;rate=24000', bytesOf(parts[2]!)));
    await streamed(call.send({ audio: base64(writeWav(parts[3]!, 48_000)) }));
    await streamed(call.send(bytesOf(parts[4]!)));
    await expectUpstream(
      upstream,
      upstreamOf(parts[0]!, 16_000, true),
      upstreamOf(parts[1]!, 8000, true),
      bytesOf(parts[2]!),
      upstreamOf(parts[3]!, 48_000, true),
      upstreamOf(parts[4]!, 16_000),
    );
  });
});

describe.each([
  ['pcmu', 0xff],
  ['pcma', 0xd5],
] as const)('a call in %s', (encoding, silence) => {
  const speech = (length: number) => {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = (i * 7) % 256 === silence ? 1 : (i * 7) % 256;
    return bytes;
  };
  const voicedG711 = (bytes: Uint8Array) => Buffer.from(bytes.filter((byte) => byte !== silence));

  it('travels as it is, there and back', async () => {
    const { call, upstream } = await connected({ encoding });
    expect(upstream.session).toMatchObject({
      audio: { input: { format: { type: `audio/${encoding}` } }, output: { format: { type: `audio/${encoding}` } } },
    });
    expect((await call.info()).body).toMatchObject({ encoding, sampleRate: 8000 });
    const bytes = speech(4800);
    await streamed(call.send(bytes.subarray(0, 801)));
    await streamed(bare(call, `audio/${encoding}`, bytes.subarray(801, 3000)));
    await streamed(bare(call, `audio/${encoding.toUpperCase()};rate=8000`, bytes.subarray(3000)));
    await expect.poll(() => print(voicedG711(upstream.receivedAudio()))).toBe(print(bytes));
    const heard = () => Buffer.concat(call.heard);
    await call.pollUntil(() => voicedG711(heard()).length >= 4800);
    expect(heard().length % 480).toBe(0);
    expect(print(heard())).toBe(print(Buffer.from(upstream.receivedAudio()).subarray(0, heard().length)));
  });

  it('has no room for a WAV file, nor for another encoding', async () => {
    const { call } = await connected({ encoding });
    const wav = writeWav(signal(8000, 20), 8000);
    for (const answer of [await call.send({ audio: base64(wav) }), await bare(call, 'audio/wav', wav)]) {
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        status: 'invalid_audio',
        error: expect.stringMatching(new RegExp(`^audio is a WAV file.* ${encoding}.* raw`)),
      });
    }
    const other = encoding === 'pcmu' ? 'pcma' : 'pcmu';
    for (const [type, named] of [
      [`audio/${other}`, other],
      ['audio/pcm', 'pcm16'],
      ['audio/l16;rate=8000', 'pcm16'],
    ] as const) {
      const { status, body } = await bare(call, type, Buffer.alloc(160));
      expect(status).toBe(400);
      expect(body.error).toBe(`audio is ${named} by its Content-Type, but the call was created as ${encoding}`);
    }
  });

  it('is filled with its own silence', async () => {
    const { call, upstream } = await connected({ encoding });
    await streamed(call.send(speech(800)));
    await expect.poll(() => upstream.receivedAudio().length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2400);
    expect(Buffer.from(upstream.receivedAudio().subarray(800, 2400))).toEqual(Buffer.alloc(1600, silence));
  });
});

describe('audio that cannot be used', () => {
  const wav = Buffer.from(writeWav(signal(16_000, 20), 16_000));
  const patched = (at: number, value: number, bytes: 2 | 4) => {
    const copy = Buffer.from(wav);
    if (bytes === 2) copy.writeUInt16LE(value, at);
    else copy.writeUInt32LE(value, at);
    return base64(copy);
  };
  it.each([
    ['', 'audio is empty'],
    ['\n', 'audio is empty'],
    ['AAA', undefined],
    ['AAAAA', 'audio is not base64: 5 characters leave a last group of a single character'],
    ['****', 'audio is not base64: character "*" at offset 0'],
    ['AA A', `audio is not base64: blank at offset 2, perhaps a "+" that was decoded as a form's`],
    ['AA-_', 'audio is not base64: character "-" at offset 2'],
    ['AA==AA==', 'audio is not base64: padding character "=" at offset 3 is not at the end'],
    ['äöü', 'audio is not base64: character U+00E4 at offset 0'],
    ['AAAA', 'audio has 3 bytes, an odd number; PCM16 samples are two bytes each'],
    ['AA==', 'audio has 1 byte, an odd number; PCM16 samples are two bytes each'],
    [
      base64(wav.subarray(0, 30)),
      'audio is a WAV file that is cut off: its "fmt" chunk claims 16 bytes, of which 10 are there',
    ],
    [
      base64(wav.subarray(0, 100)),
      'audio is a WAV file that is cut off: its data chunk claims 640 bytes, of which 56 are there',
    ],
    [patched(20, 3, 2), 'audio is a WAV file in floating point (format 3); only 16-bit PCM is accepted'],
    [patched(20, 7, 2), 'audio is a WAV file in G.711 mu-law (format 7); only 16-bit PCM is accepted'],
    [patched(34, 8, 2), 'audio is a WAV file with 8 bits a sample; only 16-bit PCM is accepted'],
    [patched(22, 6, 2), 'audio is a WAV file with 6 channels; only mono and stereo are accepted'],
    [patched(24, 44_100, 4), 'audio is a WAV file at 44100 Hz; 8000, 16000, 24000, 48000 Hz are accepted'],
    [patched(40, 0, 4), 'audio is a WAV file without samples'],
  ])('%s', async (audio, sentence) => {
    const { call, upstream } = await connected();
    const { status, body } = await call.send({ audio });
    if (sentence === undefined) {
      // Padding may be left out: three characters are two bytes.
      expect(status).toBe(200);
      return;
    }
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: sentence, code: 'invalid_audio', status: 'invalid_audio' });
    // The call goes on, and nothing of it went upstream.
    await streamed(call.send(bytesOf(signal(16_000, 60))));
    await expectUpstream(upstream, upstreamOf(signal(16_000, 60), 16_000));
  });

  it.each([
    ['audio/pcm', Buffer.alloc(0), 'audio is empty'],
    ['audio/pcm', Buffer.alloc(3), 'audio has 3 bytes, an odd number; PCM16 samples are two bytes each'],
    ['audio/wav', Buffer.alloc(100), 'audio is not a WAV file: it does not start with "RIFF"'],
    ['audio/pcmu', Buffer.alloc(160), 'audio is pcmu by its Content-Type, but the call was created as pcm16'],
  ])('bare, as %s', async (type, bytes, sentence) => {
    const { call } = await connected();
    const { status, body } = await bare(call, type, bytes);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: sentence, code: 'invalid_audio', status: 'invalid_audio' });
  });
});

describe('keys', () => {
  it('are told to the agent, with or without audio', async () => {
    const { call, upstream } = await connected();
    await streamed(call.send({ audio: base64(bytesOf(signal(16_000, 20))), dtmf: '47' }));
    await streamed(call.send({ dtmf: '11#' }));
    const told = () =>
      upstream.received
        .filter(({ type }) => type === 'conversation.item.create')
        .map(({ event }) => JSON.stringify(event));
    await expect.poll(told).toEqual([expect.stringContaining('4711#')]);
  });
});

describe('silence', () => {
  it('goes upstream in the place of a client that sends nothing, once it has begun', async () => {
    const { call, upstream } = await connected({ sampleRate: 24_000 });
    await call.poll('timeout=700');
    expect(upstream.receivedAudio()).toHaveLength(0);
    const bytes = bytesOf(signal(24_000, 100));
    await streamed(call.send(bytes));
    await expect
      .poll(() => upstream.receivedAudio().length, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(bytes.length + 3 * 4800);
    const received = Buffer.from(upstream.receivedAudio());
    expect(print(received.subarray(0, bytes.length))).toBe(print(bytes));
    expect(received.subarray(bytes.length).every((byte) => byte === 0)).toBe(true);
    expect(received.length % 4800).toBe(0);
    // Frames of silence go between chunks, never into one.
    await streamed(call.send(bytes));
    await expectUpstream(upstream, bytes, bytes);
  });
});
