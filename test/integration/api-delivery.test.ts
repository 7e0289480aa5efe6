import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { startStalledUpstream } from '../support/stalled-upstream.ts';

let gateway: TestGateway;

async function start(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { env = {}, simulator = {}, ...rest } = options;
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet', ...env },
    simulator: { mode: 'loopback', captureAudio: true, ...simulator },
    profiles: { quiet: QUIET_PROFILE },
    ...rest,
  });
  return gateway;
}
afterEach(() => gateway.stop());

/** At 24 kHz nothing is resampled: what goes up comes back byte for byte. */
async function createCall(body: object = { sampleRate: 24_000 }): Promise<TestCall> {
  const call = new TestCall(gateway.url, 'call-1');
  expect((await call.create(body)).status).toBe(200);
  return call;
}

/** `ms` of audio at 24 kHz in which every sample tells its place, and none is silence. */
function ramp(ms: number, from = 0): Buffer {
  const samples = new Int16Array(ms * 24);
  for (let i = 0; i < samples.length; i++) samples[i] = ((from * 24 + i) % 30_000) + 1;
  return Buffer.from(samples.buffer);
}

/** Without the silence that the gateway puts in while a client sends nothing. */
function voiced(bytes: Uint8Array): Buffer {
  const samples = new Int16Array(new Uint8Array(bytes).buffer);
  return Buffer.from(samples.filter((sample) => sample !== 0).buffer);
}

/** Bytes as something that can be compared and, when it differs, read. */
function print(bytes: Uint8Array): string {
  return `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A request on a connection of its own, whose answer is read only when wanted. */
function slowRequest(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1', () => {
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`, () => resolve(socket));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') reject(error);
    });
  });
}

const queuedMs = async (call: TestCall) => (await call.info()).body.queuedAudioMs as number;

describe('polls without acknowledgement', () => {
  it('carry each frame once, in order, and only the fields they have', async () => {
    await start();
    const call = await createCall();
    const empty = await call.poll('timeout=0');
    expect(empty.body).toEqual({ seq: -1, generation: 0, hasMore: true });
    await call.send(ramp(100));
    await call.send(ramp(80, 100));
    const heard = () => Buffer.concat(call.heard);
    await call.pollUntil(() => voiced(heard()).length >= ramp(180).length);
    expect(print(voiced(heard()))).toBe(print(ramp(180)));
  });

  it('lose nothing when the client hangs up while it waits', async () => {
    await start();
    const call = await createCall();
    const socket = await slowRequest('/api/voice/stream/call-1/response?timeout=20000');
    await new Promise((resolve) => socket.destroy().once('close', resolve));
    await call.send(ramp(60));
    await call.pollUntil(() => call.heard.length > 0);
    expect(print(Buffer.concat(call.heard))).toBe(print(ramp(60)));
  });

  it('lose nothing when the client hangs up in the middle of an answer', async () => {
    await start();
    const call = await createCall({ sampleRate: 48_000 });
    // 75 s of audio at 48 kHz are 9.6 MB of answer, more than the network takes in at once.
    for (let i = 0; i < 5; i++) await call.send(Buffer.alloc(15_000 * 96, 1));
    await expect.poll(() => queuedMs(call), { timeout: 20_000 }).toBeGreaterThan(74_000);
    const before = await queuedMs(call);
    const socket = await slowRequest('/api/voice/stream/call-1/response?timeout=0&maxMs=600000');
    socket.resume();
    await new Promise((resolve) => socket.once('data', resolve));
    await new Promise((resolve) => socket.destroy().once('close', resolve));
    expect(await queuedMs(call)).toBeGreaterThanOrEqual(before);
    const { body } = await call.poll('timeout=2000&maxMs=600000');
    expect(Buffer.from(body.audio, 'base64').length / 96).toBeGreaterThanOrEqual(before);
    expect(body.seq).toBe(Buffer.from(body.audio, 'base64').length / 96 / 60 - 1);
  });

  it('wait for an answer that is still being read, which nothing resets', async () => {
    await start();
    const call = await createCall({ sampleRate: 48_000 });
    for (let i = 0; i < 5; i++) await call.send(Buffer.alloc(15_000 * 96, 1));
    await expect.poll(() => queuedMs(call), { timeout: 20_000 }).toBeGreaterThan(74_000);
    const slow = await slowRequest('/api/voice/stream/call-1/response?timeout=0&maxMs=600000');
    let bytes = 0;
    slow.resume();
    await new Promise((resolve) => slow.once('data', resolve));
    slow.pause();
    expect((await call.poll('timeout=0')).body).not.toHaveProperty('audio');
    expect((await call.send(Buffer.alloc(9_600), '?poll=1')).body).not.toHaveProperty('audio');
    const waiting = call.poll('timeout=20000&maxMs=600000');
    slow.on('data', (data: Buffer) => {
      bytes += data.length;
    });
    slow.resume();
    // What came while the first was read.
    expect((await waiting).status).toBe(200);
    await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThan(74_000 * 96);
    expect(slow.destroyed).toBe(false);
    slow.destroy();
  });

  it('are not answered to HEAD, which would take the audio away', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(60));
    const head = await fetch(`${gateway.url}/api/voice/stream/call-1/response?timeout=0`, { method: 'HEAD' });
    expect(head.status).toBe(405);
    await call.pollUntil(() => call.heard.length > 0);
    expect(print(Buffer.concat(call.heard))).toBe(print(ramp(60)));
  });
});

describe('polls with acknowledgement', () => {
  it('bring again what was not acknowledged', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(180));
    const lost = await call.poll('ack=-1');
    expect(lost.body.seq).toBeGreaterThanOrEqual(0);
    await expect.poll(() => queuedMs(call)).toBeGreaterThanOrEqual(180);
    const again = await call.poll('ack=-1');
    expect(print(Buffer.from(again.body.audio, 'base64').subarray(0, ramp(180).length))).toBe(print(ramp(180)));
    const part = await call.poll('ack=0&maxMs=60');
    expect(print(Buffer.from(part.body.audio, 'base64'))).toBe(print(ramp(60, 60)));
    expect(part.body.seq).toBe(1);
    const rest = await call.poll('ack=1&maxMs=60');
    expect(print(Buffer.from(rest.body.audio, 'base64'))).toBe(print(ramp(60, 120)));
  });

  it('take an acknowledgement at once, though the poll itself goes on waiting', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(60));
    const { body } = await call.poll('ack=-1');
    await expect.poll(() => queuedMs(call)).toBe(60);
    const waiting = call.poll(`ack=${body.seq}&timeout=20000`);
    await expect.poll(() => queuedMs(call)).toBe(0);
    await call.end();
    expect((await waiting).body.hasMore).toBe(false);
  });

  it('may be acknowledged by a stream request', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(60));
    const { body } = await call.poll('ack=-1');
    expect(await queuedMs(call)).toBe(60);
    await call.send({ dtmf: '1' }, `?ack=${body.seq}`);
    expect(await queuedMs(call)).toBe(0);
  });

  it('deliver everything of an ended call before they say so', async () => {
    await start({ overrides: { reconnect: { maxAttempts: 2, firstBackoffMs: 10 } } });
    const call = await createCall();
    await call.send(ramp(60));
    await call.poll('ack=-1');
    // The upstream goes away for good: the call ends by itself, with something still unacknowledged.
    gateway.simulator.setDefaultFaults({ refuseHandshake: { status: 401 } });
    await gateway.simulator.close();
    let { body } = await call.poll('ack=-1&timeout=20000');
    expect(body).toMatchObject({ seq: 0, hasMore: true });
    await expect.poll(async () => (await call.info()).body.status, { timeout: 25_000 }).toBe('ending');
    ({ body } = await call.poll('ack=-1'));
    expect(body).toMatchObject({ seq: 0, hasMore: true });
    ({ body } = await call.poll('ack=0'));
    expect(body).toMatchObject({ seq: 0, hasMore: false, endReason: 'upstream_failed', error: expect.any(String) });
  }, 60_000);
});

describe('a second poll', () => {
  it('takes the place of the first, which answers at once', async () => {
    await start();
    const call = await createCall();
    const first = call.poll('timeout=20000');
    // The first has come when the second is answered by audio: they are told apart by who gets it.
    await expect.poll(async () => (await call.info()).status).toBe(200);
    const second = new TestCall(gateway.url, 'call-1');
    const answer = second.poll('timeout=20000');
    expect((await first).body).toEqual({ seq: -1, generation: 0, hasMore: true });
    await call.send(ramp(60));
    expect((await answer).body.audio).toBeDefined();
  });

  it('does not starve anybody, however many come', async () => {
    await start();
    const call = await createCall();
    const polls = Array.from({ length: 20 }, () => new TestCall(gateway.url, 'call-1').poll('timeout=20000'));
    await expect.poll(async () => (await call.info()).status).toBe(200);
    await call.send(ramp(60));
    const bodies = (await Promise.all(polls)).map(({ body }) => body);
    expect(bodies.filter(({ audio }) => audio !== undefined)).toHaveLength(1);
    expect(bodies.every(({ hasMore }) => hasMore)).toBe(true);
  });
});

describe('one request for both directions', () => {
  it('carries what is queued, and never waits', async () => {
    await start();
    const call = await createCall();
    const first = await call.send(ramp(60), '?poll=1');
    expect(first.body).toEqual({ status: 'streamed', seq: -1, generation: 0, hasMore: true });
    await expect.poll(() => queuedMs(call)).toBe(60);
    const second = await call.send(ramp(60, 60), '?poll=1&maxMs=60');
    expect(second.body).toMatchObject({ status: 'streamed', seq: 0, generation: 0, hasMore: true });
    expect(print(Buffer.from(second.body.audio, 'base64'))).toBe(print(ramp(60)));
    expect((await call.send({ dtmf: '1' }, '?poll=0')).body).toEqual({ status: 'streamed', generation: 0 });
  });

  it('is repeated as a poll is', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(60), '?poll=1&ack=-1');
    await expect.poll(() => queuedMs(call)).toBe(60);
    for (let i = 0; i < 2; i++) {
      let body: { audio?: string; seq?: number } = {};
      // It is given time to be acknowledged before it is sent again.
      await expect
        .poll(async () => {
          ({ body } = await call.send({ dtmf: '1' }, '?poll=1&ack=-1&maxMs=60'));
          return body.audio;
        })
        .toBeDefined();
      expect(print(Buffer.from(body.audio!, 'base64'))).toBe(print(ramp(60)));
      expect(body.seq).toBe(0);
    }
    expect((await call.send({ dtmf: '1' }, '?poll=1&ack=0')).body.seq).toBe(0);
  });
});

describe('an interruption', () => {
  it('raises the generation in every answer and is told once in each kind', async () => {
    await start();
    const call = await createCall();
    await call.send(ramp(6_000));
    await expect.poll(() => queuedMs(call)).toBeGreaterThan(5_000);
    await call.poll('maxMs=60');
    expect(call.generation).toBe(0);
    const waiting = async () => {
      for (;;) {
        const { body } = await call.poll('timeout=10000&maxMs=60');
        if (body.generation > 0) return body;
      }
    };
    const told = waiting();
    // A key press stops the reply as speech does.
    await call.send({ dtmf: '5#' });
    expect(await told).toMatchObject({ generation: 1, interrupted: true, hasMore: true });
    expect((await call.poll('timeout=0')).body).not.toHaveProperty('interrupted');
    expect((await call.send({ dtmf: '1' })).body).toEqual({ status: 'streamed', generation: 1, interrupted: true });
    expect((await call.send({ dtmf: '1' })).body).toEqual({ status: 'streamed', generation: 1 });
  });
});

describe('numbered chunks', () => {
  const chunk = (seq: number) => ({ audio: ramp(20, seq * 20).toString('base64'), chunkSeq: seq });

  async function connected() {
    await start({ overrides: { reorderWaitMs: 60_000 } });
    const opened = gateway.simulator.waitForConnection();
    const call = await createCall();
    const upstream = await opened;
    const received = () => print(voiced(upstream.receivedAudio()));
    return { call, received };
  }

  it('arrive upstream in order and once, in whatever order and however often they come', async () => {
    const { call, received } = await connected();
    const order = [3, 0, 0, 2, 3, 1, 4, 4, 6, 5];
    const answers = await Promise.all(order.map((seq) => call.send(chunk(seq))));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body.status).toBe('streamed');
    }
    await expect.poll(received).toBe(print(ramp(140)));
    expect((await call.create()).body.nextChunkSeq).toBe(7);
  });

  it('go on without one that does not come within 16', async () => {
    const { call, received } = await connected();
    const early = Array.from({ length: 16 }, (_, i) => call.send(chunk(i + 1)));
    await expect.poll(async () => (await call.create()).body.nextChunkSeq).toBe(0);
    expect(received()).toBe(print(new Uint8Array(0)));
    await call.send(chunk(17));
    await Promise.all(early);
    await expect.poll(received).toBe(print(ramp(17 * 20, 20)));
    // Too late, but no error.
    expect((await call.send(chunk(0))).body.status).toBe('streamed');
    expect((await call.create()).body.nextChunkSeq).toBe(18);
  });

  it('go on without one that does not come within 300 ms', async () => {
    await start();
    const opened = gateway.simulator.waitForConnection();
    const call = await createCall();
    const upstream = await opened;
    expect((await call.send(chunk(1))).body.status).toBe('streamed');
    expect(voiced(upstream.receivedAudio()).length).toBeLessThanOrEqual(ramp(20).length);
    await expect.poll(() => print(voiced(upstream.receivedAudio()))).toBe(print(ramp(20, 20)));
    const metrics = await http('GET', `${gateway.url}/metrics`);
    expect(metrics.body).toContain('voice_gateway_audio_rejected_total{reason="missing"} 1');
  });

  it.each([
    ['bad base64', { audio: '***' }],
    ['half a sample', { audio: Buffer.alloc(3).toString('base64') }],
    ['no audio', {}],
    ['audio of the wrong type', { audio: 5 }],
    ['bad keys', { audio: 'AAAA', dtmf: 'x' }],
  ])('use up their number when they are refused: %s', async (_what, bad) => {
    const { call, received } = await connected();
    await call.send(chunk(0));
    const refused = await call.send({ ...bad, chunkSeq: 1 });
    expect(refused.status).toBe(400);
    expect((await call.send(chunk(2))).body.status).toBe('streamed');
    expect((await call.create()).body.nextChunkSeq).toBe(3);
    await expect.poll(received).toBe(print(Buffer.concat([ramp(20), ramp(20, 40)])));
    // Its number came, so a good chunk of that number is a repeat.
    expect((await call.send(chunk(1))).body.status).toBe('streamed');
    await call.send(chunk(3));
    await expect.poll(received).toBe(print(Buffer.concat([ramp(20), ramp(40, 40)])));
  });

  it('are all numbered, or none', async () => {
    const { call } = await connected();
    await call.send(chunk(0));
    const unnumbered = await call.send(ramp(20));
    expect(unnumbered.status).toBe(400);
    expect(unnumbered.body.error).toBe('chunkSeq is missing, but this call began with it: number all chunks or none');
    const other = new TestCall(gateway.url, 'call-2');
    await other.create();
    await other.send(ramp(20));
    const numbered = await other.send(chunk(1));
    expect(numbered.status).toBe(400);
    expect(numbered.body.error).toBe('chunkSeq is 1, but this call began without it: number all chunks or none');
  });

  it('leave keys alone: those need no number, first or in between', async () => {
    const { call, received } = await connected();
    expect((await call.send({ dtmf: '1' })).body.status).toBe('streamed');
    await call.send(chunk(0));
    expect((await call.send({ dtmf: '4711#' })).body.status).toBe('streamed');
    expect((await call.send(chunk(1))).body.status).toBe('streamed');
    await call.pollUntil(({ lines }) => lines.length > 0);
    expect(call.lines[0]).toBe('[User]: (pressed 14711#)');
    await expect.poll(received).toBe(print(ramp(40)));
    // With a number they take their place, and are told once.
    await call.send({ dtmf: '5#', chunkSeq: 2 });
    await call.send({ dtmf: '5#', chunkSeq: 2 });
    expect((await call.create()).body.nextChunkSeq).toBe(3);
    const unnumbered = await call.send({ ...chunk(3), chunkSeq: undefined, dtmf: '1' });
    expect(unnumbered).toMatchObject({ status: 400, body: { code: 'invalid_field' } });
  });

  it.each([
    ['the first', 0],
    ['a later one', 2],
  ])('are refused when they are out of reach, which counts nothing as missing: %s', async (_which, sent) => {
    const { call, received } = await connected();
    for (let seq = 0; seq < sent; seq++) await call.send(chunk(seq));
    const refused = await call.send({ ...chunk(sent), chunkSeq: 2 ** 31 - 1 });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_field' } });
    expect(refused.body.error).toBe(
      `chunkSeq is 2147483647, but the next chunk of this call is ${sent}: it may be ahead by 100000 at most`,
    );
    // One that is refused for its audio uses up no such number either.
    expect((await call.send({ audio: '***', chunkSeq: 2 ** 31 - 1 })).status).toBe(400);
    expect((await call.create()).body.nextChunkSeq).toBe(sent);
    expect((await call.send(chunk(sent))).body.status).toBe('streamed');
    await expect.poll(received).toBe(print(ramp((sent + 1) * 20)));
    const metrics = await http('GET', `${gateway.url}/metrics`);
    expect(metrics.body).toContain('voice_gateway_audio_rejected_total{reason="missing"} 0\n');
  });

  it('may jump by what a client can lose in half an hour', async () => {
    await start();
    const call = await createCall();
    await call.send(chunk(0));
    expect((await call.send({ ...chunk(1), chunkSeq: 100_001 })).body.status).toBe('streamed');
    await expect.poll(async () => (await call.create()).body.nextChunkSeq).toBe(100_002);
  });

  it('may be bare audio, with their number in a header', async () => {
    const { received } = await connected();
    const send = (seq: number) =>
      http('POST', `${gateway.url}/api/voice/stream/call-1`, ramp(20, seq * 20), {
        'content-type': 'audio/pcm',
        'x-chunk-seq': String(seq),
      });
    await Promise.all([1, 0, 0, 2].map(send));
    await expect.poll(received).toBe(print(ramp(60)));
  });
});

describe('an upstream that takes nothing any more', () => {
  it('gets a bounded amount; then chunks are refused with 503 and keep their number', async () => {
    const upstream = await startStalledUpstream();
    try {
      await start({ env: { OPENAI_REALTIME_URL: upstream.url } });
      const call = await createCall();
      const big = Buffer.alloc(7_000_000, 1).toString('base64');
      let seq = 0;
      let answer = await call.send({ audio: big, chunkSeq: seq });
      while (answer.status === 200 && seq < 40) {
        seq += 1;
        answer = await call.send({ audio: big, chunkSeq: seq });
      }
      expect(answer.status).toBe(503);
      expect(answer.body.code).toBe('upstream_busy');
      expect(answer.body.error).toMatch(/^\d+ chunks of this call wait for the upstream: send this one again later$/);
      expect(answer.headers['retry-after']).toBe('1');
      expect((await call.create()).body.nextChunkSeq).toBe(seq);
      upstream.resume();
      await expect
        .poll(async () => (await call.send({ audio: 'AAAA', chunkSeq: seq })).status, { timeout: 20_000 })
        .toBe(200);
      expect((await call.create()).body.nextChunkSeq).toBe(seq + 1);
    } finally {
      upstream.close();
    }
  }, 60_000);
});
