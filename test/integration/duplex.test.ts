import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AudioFormat, bytesPerMs } from '../../src/audio/codec.ts';
import { convertWhole } from '../../src/audio/converter.ts';
import { http, TestCall } from '../support/call.ts';
import { aiLine, eventually, manifest, received, silence, speech, userLine } from '../support/caller.ts';
import { DuplexCall, hangUpAll } from '../support/duplex-call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const PCM: AudioFormat = { encoding: 'pcm16', sampleRateHz: 16_000 };
const PCM8: AudioFormat = { encoding: 'pcm16', sampleRateHz: 8000 };
const MULAW: AudioFormat = { encoding: 'pcmu', sampleRateHz: 8000 };
const ALAW: AudioFormat = { encoding: 'pcma', sampleRateHz: 8000 };

let gateway: TestGateway;
let calls = 0;

beforeAll(async () => {
  gateway = await startGateway({ env: { SESSION_WORKERS: '1' }, profiles: { quiet: QUIET_PROFILE } });
});
afterAll(async () => {
  hangUpAll();
  await gateway.stop();
});

function phone(
  format: AudioFormat,
  contentType: string,
  query = '?create=1&aiAgentRef=quiet',
  callId = `duplex-${++calls}`,
) {
  const call = new DuplexCall(gateway.url, callId, { format, contentType, query });
  return { call, callId, poll: new TestCall(gateway.url, callId) };
}

/** What the caller says, in the format of the stream. */
function said(utterance: Parameters<typeof speech>[0], format: AudioFormat): Uint8Array {
  return convertWhole(Buffer.concat([speech(utterance), silence(800)]), PCM, format);
}

async function summaryOf(callId: string) {
  const { status, body } = await new TestCall(gateway.url, callId).end();
  expect(status).toBe(200);
  return body.summary as { transcript: string[]; endReason: string };
}

// They take as long as what is said in them: at once, not one after the other.
describe.concurrent('a streamed call', () => {
  it.each<[string, AudioFormat, string]>([
    ['mu-law', MULAW, 'audio/pcmu'],
    ['A-law', ALAW, 'audio/pcma'],
    ['PCM16 at 16 kHz', PCM, 'audio/pcm;rate=16000'],
    ['PCM16 at 8 kHz', PCM8, 'audio/pcm;rate=8000'],
  ])('is a whole conversation in %s', async (_name, format, contentType) => {
    const { call, callId } = phone(format, contentType);
    const answer = await call.answered;
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': format.encoding === 'pcm16' ? `audio/pcm;rate=${format.sampleRateHz}` : contentType,
      'x-call-id': callId,
      'x-lead-ms': '120',
      'transfer-encoding': 'chunked',
    });
    call.speakOn();
    await call.say(said('order', format));
    const { durationMs, text } = manifest.agentLines['order-status']!;
    await eventually(() => call.soundMs() > durationMs * 0.6);
    await eventually(
      async () => (await http('GET', `${gateway.url}/api/voice/session/${callId}`)).body.queuedAudioMs === 0,
    );
    // The body's end is the caller's hanging up.
    call.hangUp();
    expect(await call.over).toBe(true);
    const { transcript, endReason } = await summaryOf(callId);
    expect(transcript).toEqual([userLine('order'), `[AI]: ${text}`]);
    expect(endReason).toBe('completed');
  });

  it('records 8 kHz and plays mu-law, as a switch does', async () => {
    const { call, callId } = phone(PCM8, 'audio/pcm;rate=8000', '?create=1&aiAgentRef=quiet&out=pcmu');
    expect((await call.answered).headers['content-type']).toBe('audio/pcmu');
    call.speakOn();
    await call.say(said('order', PCM8));
    await eventually(() => call.soundMs(MULAW) > 500);
    call.hangUp();
    await call.over;
    expect((await summaryOf(callId)).transcript[0]).toBe(userLine('order'));
  });

  it('takes samples cut anywhere, half samples included', async () => {
    const { call, callId } = phone(PCM, 'audio/l16;rate=16000');
    await call.answered;
    const audio = Buffer.from(said('order', PCM));
    for (let at = 0, cut = 1; at < audio.length; cut = (cut * 13) % 997) {
      call.request.write(audio.subarray(at, at + cut));
      at += cut;
      if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => call.soundMs() > 300);
    call.hangUp();
    await call.over;
    expect((await summaryOf(callId)).transcript[0]).toBe(userLine('order'));
  });

  it('is never ahead of real time by more than its lead, and silent where nothing is said', async () => {
    const { call } = phone(MULAW, 'audio/pcmu', '?create=1&aiAgentRef=quiet&lead=200&frame=40');
    await call.answered;
    await eventually(() => call.received.length > 8 * 1500);
    const startMs = call.arrivals[0]!.atMs;
    let bytes = 0;
    for (const arrival of call.arrivals) {
      bytes += arrival.bytes.length;
      // A client sees the first bytes later than they were written, so allow it that.
      expect(bytes / 8).toBeLessThanOrEqual(arrival.atMs - startMs + 200 + 100);
    }
    expect(call.soundMs()).toBe(0);
  });

  it('ends where the session ends, after what was queued has been played', async () => {
    const { call, callId, poll } = phone(MULAW, 'audio/pcmu', '?create=1&aiAgentRef=customer-care-voice');
    await call.answered;
    call.speakOn();
    await eventually(() => call.soundMs() > 500);
    await eventually(async () => (await poll.info()).body.queuedAudioMs === 0);
    await call.say(said('goodbye', MULAW));
    expect(await call.over).toBe(true);
    const last = await poll.poll('timeout=0');
    expect(poll.actions).toMatchObject([{ type: 'hangup' }]);
    expect(last.status).toBe(200);
    await poll.pollUntil(({ hasMore }) => !hasMore);
    expect(poll).toMatchObject({ hasMore: false, endReason: 'agent_hangup' });
    const { transcript } = await summaryOf(callId);
    expect(transcript.at(-1)).toBe(aiLine('goodbye'));
  });

  it('tells the agent what keys were pressed', async () => {
    const { call, callId } = phone(MULAW, 'audio/pcmu');
    await call.answered;
    call.speakOn();
    expect(await http('POST', `${gateway.url}/api/voice/stream/${callId}`, { dtmf: '42#' })).toMatchObject({
      status: 200,
    });
    await eventually(() => call.soundMs() > 100);
    call.hangUp();
    await call.over;
    expect((await summaryOf(callId)).transcript.join()).toContain('42#');
  });
});

describe('an interruption of a stream', () => {
  it('is silence from the next frame on, and the AI is told what was heard', async () => {
    const connected = gateway.simulator.waitForConnection();
    const { call, callId } = phone(MULAW, 'audio/pcmu', '?create=1&aiAgentRef=quiet&lead=100&frame=20');
    const connection = await connected;
    await call.answered;
    call.speakOn();
    await call.say(said('returns', MULAW));
    // Into the long line.
    await eventually(() => call.soundMs() > 1500);
    void call.say(said('order', MULAW));
    await eventually(() => received(connection, 'conversation.item.truncate').length > 0);
    const [truncate] = received(connection, 'conversation.item.truncate');
    const soundMs = call.soundMs();
    const { durationMs } = manifest.agentLines['long-explanation']!;
    expect(truncate!['audio_end_ms']).toBeGreaterThan(1000);
    expect(truncate!['audio_end_ms']).toBeLessThan(durationMs);
    // What the client was given is what was heard and its lead at most, give or take what is no sound in the line.
    expect(soundMs).toBeLessThanOrEqual((truncate!['audio_end_ms'] as number) + 100 + 20);
    call.hangUp();
    await call.over;
    const { transcript } = await summaryOf(callId);
    const cut = transcript[1]!.slice('[AI]: '.length);
    expect(manifest.agentLines['long-explanation']!.text.startsWith(cut)).toBe(true);
  });
});

describe.concurrent('connections', () => {
  it('that break end nothing: the next takes the place, with what had not been heard', async () => {
    const { call, callId } = phone(MULAW, 'audio/pcmu', '?create=1&aiAgentRef=quiet');
    await call.answered;
    call.speakOn();
    await call.say(said('returns', MULAW));
    await eventually(() => call.soundMs() > 1000);
    call.hangUp(true);
    await call.over;
    const heardMs = call.soundMs();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await new TestCall(gateway.url, callId).info()).body.status).toBe('active');
    const { call: next } = phone(MULAW, 'audio/pcmu', '', callId);
    expect((await next.answered).statusCode).toBe(200);
    const { durationMs, text } = manifest.agentLines['long-explanation']!;
    next.speakOn();
    await eventually(() => next.soundMs() > durationMs - heardMs - 1500, 30_000);
    await eventually(async () => (await new TestCall(gateway.url, callId).info()).body.queuedAudioMs === 0, 30_000);
    next.hangUp();
    const { transcript } = await summaryOf(callId);
    expect(transcript).toEqual([userLine('returns'), `[AI]: ${text}`]);
  });

  it('replace each other: the first one ends', async () => {
    const { call, callId } = phone(MULAW, 'audio/pcmu');
    await call.answered;
    call.speakOn();
    const { call: second } = phone(MULAW, 'audio/pcmu', '', callId);
    await second.answered;
    expect(await call.over).toBe(true);
    await eventually(() => second.received.length > 8 * 200);
    expect((await new TestCall(gateway.url, callId).info()).body.status).toBe('active');
    second.hangUp();
    await second.over;
    await new TestCall(gateway.url, callId).end();
  });

  it('come in halves for clients that cannot do both at once', async () => {
    const poll = new TestCall(gateway.url, `duplex-${++calls}`);
    await poll.create({ aiAgentRef: 'quiet', encoding: 'pcmu' });
    const down = new DuplexCall(gateway.url, poll.callId, {
      format: MULAW,
      contentType: '',
      half: 'audio',
      query: '?lead=60&frame=20',
    });
    const head = await down.answered;
    expect(head.headers).toMatchObject({ 'content-type': 'audio/pcmu', 'x-lead-ms': '60' });
    const audio = said('order', MULAW);
    const up = await http('POST', `${gateway.url}/api/voice/stream/${poll.callId}/duplex?down=0`, Buffer.from(audio), {
      'content-type': 'audio/pcmu',
    });
    expect(up).toMatchObject({
      status: 200,
      body: { status: 'streamed', bytes: audio.length, audioMs: Math.round(audio.length / 8) },
    });
    await eventually(() => down.soundMs() > 500);
    const { body } = await poll.end();
    expect(body.summary.transcript[0]).toBe(userLine('order'));
    expect(await down.over).toBe(true);
  });

  it('may change to polls and back, whatever the formats', async () => {
    const poll = new TestCall(gateway.url, `duplex-${++calls}`);
    await poll.create({ aiAgentRef: 'quiet' });
    const { call } = phone(MULAW, 'audio/pcmu', '', poll.callId);
    await call.answered;
    call.speakOn();
    await call.say(said('returns', MULAW));
    await eventually(() => call.soundMs() > 500);
    // Polls of a call that is being played are given nothing.
    expect((await poll.poll('timeout=0')).body).not.toHaveProperty('audio');
    call.hangUp();
    await call.over;
    await poll.pollUntil(({ heard }) => Buffer.concat(heard).length > 2000 * bytesPerMs(PCM));
    // 16 kHz again, in whole frames.
    expect(Buffer.concat(poll.heard).length % (60 * bytesPerMs(PCM))).toBe(0);
    await poll.end();
  });
});

describe('bad input is refused before any audio', () => {
  const post = (callId: string, query: string, contentType: string | undefined) =>
    http(
      'POST',
      `${gateway.url}/api/voice/stream/${callId}/duplex${query}`,
      Buffer.alloc(160),
      contentType === undefined ? {} : { 'content-type': contentType },
    );

  it.each<[string, string, string | undefined, number, string, RegExp]>([
    ['no type', '?create=1', undefined, 415, 'unsupported_media_type', /Content-Type/],
    ['another type', '?create=1', 'audio/mpeg', 415, 'unsupported_media_type', /audio\/mpeg/],
    ['a WAV file', '?create=1', 'audio/wav', 415, 'unsupported_media_type', /audio\/wav|WAV/],
    ['an unknown rate', '?create=1', 'audio/pcm;rate=11025', 415, 'unsupported_media_type', /rate is "11025"/],
    [
      'a lead out of range',
      '?create=1&lead=5',
      'audio/pcmu',
      400,
      'invalid_field',
      /lead is 5, but must be a whole number from 40 to 400/,
    ],
    [
      'a frame longer than the lead',
      '?create=1&lead=40&frame=60',
      'audio/pcmu',
      400,
      'invalid_field',
      /frame is 60, but must be at most lead/,
    ],
    [
      'an odd frame',
      '?create=1&frame=50',
      'audio/pcmu',
      400,
      'invalid_field',
      /frame is 50, but must be one of 20, 40/,
    ],
    ['another encoding', '?create=1&out=mp3', 'audio/pcmu', 400, 'invalid_field', /out is "mp3"/],
    [
      'a rate that G.711 lacks',
      '?create=1&out=pcmu&outRate=16000',
      'audio/pcmu',
      400,
      'invalid_field',
      /outRate is 16000/,
    ],
    ['a call nobody knows', '', 'audio/pcmu', 404, 'session_not_found', /never-created/],
    ['an agent nobody knows', '?create=1&aiAgentRef=nobody', 'audio/pcmu', 404, 'agent_not_found', /nobody/],
  ])('%s', async (_name, query, contentType, status, code, sentence) => {
    const answer = await post('never-created', query, contentType);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body.error).toMatch(sentence);
    expect((await http('GET', `${gateway.url}/api/voice/session/never-created`)).status).toBe(404);
  });

  it('a call that has ended', async () => {
    const poll = new TestCall(gateway.url, `duplex-${++calls}`);
    await poll.create({ aiAgentRef: 'quiet' });
    await poll.end();
    expect(await post(poll.callId, '', 'audio/pcmu')).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    });
    expect(await http('GET', `${gateway.url}/api/voice/stream/${poll.callId}/audio`)).toMatchObject({ status: 404 });
  });
});

describe('clients that misbehave', () => {
  it('are cut off when they send faster than twice real time', async () => {
    const { call, callId } = phone(MULAW, 'audio/pcmu');
    await call.answered;
    call.request.write(Buffer.alloc(8 * 11_000, 0xff));
    expect(await call.over).toBe(false);
    const { body } = await http('GET', `${gateway.url}/api/voice/session/${callId}/events`);
    expect(body.events).toContainEqual(expect.objectContaining({ type: 'stream_cut_off', reason: 'too_fast' }));
    await new TestCall(gateway.url, callId).end();
  });

  it('leave nothing behind when they go, however they go', async () => {
    const before = gateway.simulator.stats;
    for (let i = 0; i < 20; i++) {
      const { call, callId } = phone(MULAW, 'audio/pcmu');
      if (i % 2 === 0) await call.answered;
      call.hangUp(true);
      await call.over;
      await eventually(async () => (await new TestCall(gateway.url, callId).end()).status !== 503);
    }
    await eventually(async () => {
      const { text } = await (async () => ({ text: (await http('GET', `${gateway.url}/metrics`)).body as string }))();
      return /voice_gateway_duplex_connections\{direction="up"\} 0\n/.test(text) && /direction="down"\} 0\n/.test(text);
    });
    expect(gateway.simulator.stats.errors).toEqual(before.errors);
  });

  it('may be gone before their call is made', async () => {
    const { port, hostname } = new URL(gateway.url);
    const callIds = Array.from({ length: 12 }, () => `gone-${++calls}`);
    await Promise.all(
      callIds.map(async (callId, index) => {
        const socket = connect(Number(port), hostname);
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('connect', resolve));
        socket.write(
          `POST /api/voice/stream/${callId}/duplex?create=1&aiAgentRef=quiet HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: audio/pcmu\r\nTransfer-Encoding: chunked\r\n\r\n`,
        );
        await new Promise((resolve) => setTimeout(resolve, index));
        socket.resetAndDestroy();
      }),
    );
    await eventually(async () => {
      const { sessions } = (await http('GET', `${gateway.url}/api/voice/sessions`)).body;
      return !sessions.some(({ callId }: { callId: string }) => callIds.includes(callId));
    });
    expect((await http('GET', `${gateway.url}/metrics`)).body).toMatch(/duplex_connections\{direction="down"\} 0\n/);
  });

  it('may break chunked framing without hurting anybody', async () => {
    const { port, hostname } = new URL(gateway.url);
    for (const body of ['zz\r\nhello\r\n', '5\r\nhel', 'ffffffffffffffff\r\n', '-5\r\n']) {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write(
        `POST /api/voice/stream/broken-${++calls}/duplex?create=1&aiAgentRef=quiet HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: audio/pcmu\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
      );
      await new Promise((resolve) => setTimeout(resolve, 150));
      socket.destroy();
      await new TestCall(gateway.url, `broken-${calls}`).end();
    }
    expect((await http('GET', `${gateway.url}/health`)).status).toBe(200);
  });
});
