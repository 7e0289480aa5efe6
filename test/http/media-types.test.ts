import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appOverRecorder } from './support.ts';

describe('unencoded audio', () => {
  let server: Awaited<ReturnType<typeof appOverRecorder>>;
  beforeAll(async () => {
    server = await appOverRecorder();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.seen.chunks.length = 0;
  });

  async function send(type: string, headers: Record<string, string> = {}) {
    const { statusCode, body } = await server.app.inject({
      method: 'POST',
      url: '/api/voice/stream/call-1',
      headers: { 'content-type': type, ...headers },
      payload: Buffer.from([1, 2, 3, 4]),
    });
    return { status: statusCode, body: JSON.parse(body) };
  }

  it.each([
    ['audio/wav', { kind: 'wav' }],
    ['audio/x-wav', { kind: 'wav' }],
    ['audio/wave', { kind: 'wav' }],
    ['Audio/WAV', { kind: 'wav' }],
    ['audio/wav; codecs=1', { kind: 'wav' }],
    ['audio/pcmu', { kind: 'pcmu' }],
    ['audio/pcma', { kind: 'pcma' }],
    ['audio/PCMU;rate=8000;channels=1', { kind: 'pcmu', sampleRateHz: 8000 }],
    ['audio/pcm', { kind: 'pcm16' }],
    ['audio/pcm;rate=8000', { kind: 'pcm16', sampleRateHz: 8000 }],
    ['audio/pcm; rate=24000', { kind: 'pcm16', sampleRateHz: 24_000 }],
    ['audio/l16', { kind: 'pcm16' }],
    ['audio/L16; Rate=48000; channels=1', { kind: 'pcm16', sampleRateHz: 48_000 }],
    ['audio/l16;rate=16000;endianness=big-endian', { kind: 'pcm16', bigEndian: true, sampleRateHz: 16_000 }],
    ['audio/l16;rate="16000";endianness="little-endian"', { kind: 'pcm16', sampleRateHz: 16_000 }],
  ])('reads %s', async (type, declared) => {
    expect((await send(type)).body).toEqual({ status: 'streamed', generation: 0 });
    const [chunk] = server.seen.chunks;
    expect(chunk?.audio?.declared).toEqual(declared);
    expect(Buffer.from(chunk?.audio?.data as Uint8Array)).toEqual(Buffer.from([1, 2, 3, 4]));
    expect(chunk?.chunkSeq).toBeUndefined();
  });

  it('takes the number from X-Chunk-Seq', async () => {
    await send('audio/pcm', { 'x-chunk-seq': '12' });
    expect(server.seen.chunks[0]?.chunkSeq).toBe(12);
  });

  it.each([
    ['audio/pcm;rate=11025', 'rate is "11025", but must be 8000, 16000, 24000 or 48000'],
    ['audio/pcm;rate=', 'rate is "", but must be 8000, 16000, 24000 or 48000'],
    ['audio/pcm;rate=constructor', 'rate is "constructor", but must be 8000, 16000, 24000 or 48000'],
    ['audio/l16;rate=16e3', 'rate is "16e3", but must be 8000, 16000, 24000 or 48000'],
    ['audio/l16;endianness=middle', 'endianness is "middle", but must be little-endian or big-endian'],
    ['audio/l16;channels=2', 'channels is "2", but must be 1; send a WAV file'],
    ['audio/pcmu;rate=16000', 'rate is "16000", but must be 8000 with "audio/pcmu"'],
    ['audio/pcma;channels=2', 'channels is "2", but must be 1; send a WAV file'],
  ])('refuses %s', async (type, sentence) => {
    const { status, body } = await send(type);
    expect(status).toBe(415);
    expect(body).toMatchObject({ error: sentence, code: 'unsupported_media_type' });
    expect(server.seen.chunks).toEqual([]);
  });
});
