import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { bestCorrelation } from '../../src/audio/level.ts';
import { readWav } from '../../src/audio/wav.ts';
import { http, TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { sinadDb } from '../support/sinad.ts';
import { tone } from '../support/tones.ts';

const SAMPLE_RATE_HZ = 16_000;
let gateway: TestGateway;

async function start(options: TestGatewayOptions = {}): Promise<TestGateway> {
  gateway = await startGateway(options);
  return gateway;
}

afterEach(async () => {
  await gateway?.stop();
});

function fixture(name: string): Int16Array {
  const file = fileURLToPath(new URL(`../../fixtures/calls/${name}.wav`, import.meta.url));
  return readWav(readFileSync(file)).samples;
}

function bytesOf(samples: Int16Array): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

/** Sends samples one chunk after the other, as fast as the gateway takes them. */
async function speak(call: TestCall, samples: Int16Array, chunkMs = 100): Promise<void> {
  const length = (SAMPLE_RATE_HZ * chunkMs) / 1000;
  for (let start = 0; start < samples.length; start += length) {
    const answer = await call.send(bytesOf(samples.subarray(start, start + length)));
    expect(answer.body).toMatchObject({ status: 'streamed' });
  }
}

function samplesOf(pieces: readonly Buffer[]): Int16Array {
  const joined = Buffer.concat(pieces);
  return new Int16Array(joined.buffer.slice(joined.byteOffset, joined.byteOffset + joined.length));
}

describe('a call', () => {
  it('goes from the first request to the summary with the published field names', async () => {
    await start();
    const call = new TestCall(gateway.url, 'unique-call-id');
    const created = await call.create({
      tenantId: '00000000-0000-0000-0000-000000000001',
      storeId: '50000000-0000-0000-0000-000000000010',
      did: '5406594427',
      callerNumber: '393297626144',
      aiAgentRef: 'customer-care-voice',
    });
    expect(created).toMatchObject({
      status: 200,
      body: { sessionId: 'unique-call-id', status: 'created', nextChunkSeq: 0 },
    });
    const again = await call.create({ tenantId: '00000000-0000-0000-0000-000000000001' });
    expect(again.body).toEqual({ sessionId: 'unique-call-id', status: 'existing', nextChunkSeq: 0 });

    await call.pollUntil(({ lines }) => lines.length > 0);
    expect(call.lines).toEqual(['[AI]: Good morning, this is customer care. How can I help you?']);
    // It was played as well, so that what follows does not interrupt it.
    await call.poll('timeout=0&generation=0&playedMs=60000');

    await speak(call, fixture('order-status-16k').subarray(4 * SAMPLE_RATE_HZ, 8 * SAMPLE_RATE_HZ));
    await call.pollUntil(({ lines }) => lines.length >= 3);
    expect(call.lines.slice(1)).toEqual([
      '[User]: Hello, where is my order four seven one one?',
      '[AI]: Order four seven one one left our warehouse yesterday.',
    ]);

    const info = await call.info();
    expect(info.body).toMatchObject({
      callId: 'unique-call-id',
      status: 'active',
      transcriptCount: 3,
      actionsCount: 0,
    });
    expect(new Date(info.body.createdAt).toISOString()).toBe(info.body.createdAt);
    expect(new Date(info.body.lastActivity).toISOString()).toBe(info.body.lastActivity);

    const list = await http('GET', `${gateway.url}/api/voice/sessions`);
    expect(list.body).toMatchObject({ count: 1, sessions: [{ callId: 'unique-call-id' }] });

    const ended = await call.end();
    expect(ended.body).toEqual({
      status: 'ended',
      summary: {
        callId: 'unique-call-id',
        duration: expect.any(Number),
        transcript: call.lines,
        actions: [],
        endReason: 'completed',
        aiAgentRef: 'customer-care-voice',
        usage: expect.objectContaining({ model: 'gpt-realtime-2.1', currency: 'USD' }),
      },
    });
    expect((await call.end()).body).toEqual(ended.body);
    expect(await call.poll()).toMatchObject({ status: 200, body: { hasMore: false, endReason: 'completed' } });
    expect(await call.send(Buffer.alloc(320))).toMatchObject({
      status: 404,
      body: { status: 'session_not_found', code: 'session_not_found' },
    });
    expect((await http('GET', `${gateway.url}/api/voice/sessions`)).body).toEqual({ sessions: [], count: 0 });
    expect((await call.create({ tenantId: '00000000-0000-0000-0000-000000000001' })).body.status).toBe('created');
  });

  it('hears only its own answers beside another, each on a worker and a socket of its own', async () => {
    await start({ profiles: { quiet: QUIET_PROFILE } });
    const ask = async (name: string, from: number, to: number) => {
      const call = new TestCall(gateway.url, name);
      await call.create({ aiAgentRef: 'quiet' });
      await speak(call, fixture(name).subarray(from * SAMPLE_RATE_HZ, to * SAMPLE_RATE_HZ));
      await speak(call, new Int16Array(SAMPLE_RATE_HZ));
      await call.pollUntil(({ lines }) => lines.length >= 2);
      return call;
    };
    const [order, transfer] = await Promise.all([ask('order-status-16k', 4, 8), ask('transfer-request-16k', 3.5, 8)]);
    expect(order.lines).toEqual([
      '[User]: Hello, where is my order four seven one one?',
      '[AI]: Order four seven one one left our warehouse yesterday.',
    ]);
    expect(transfer.lines[0]).toBe('[User]: Good morning, can you put me through to the operator please?');
    expect(gateway.simulator.connections).toHaveLength(2);
    const metrics = await http('GET', `${gateway.url}/metrics`);
    expect(metrics.body).toContain('voice_gateway_session_workers{state="busy"} 2');
  });

  it('opens one session for concurrent creates of the same call', async () => {
    await start({ profiles: { quiet: QUIET_PROFILE } });
    const call = new TestCall(gateway.url, 'twice');
    const answers = await Promise.all([1, 2, 3, 4].map(() => call.create({ aiAgentRef: 'quiet' })));
    expect(answers.map(({ body }) => body.status).sort()).toEqual(['created', 'existing', 'existing', 'existing']);
    expect(gateway.simulator.stats.connectionsTotal).toBe(1);
  });
});

describe('audio end to end', () => {
  it('brings a 1 kHz tone back at its pitch with a SINAD of at least 80 dB', async () => {
    await start({ simulator: { mode: 'loopback' }, profiles: { quiet: QUIET_PROFILE } });
    const call = new TestCall(gateway.url, 'tone');
    await call.create({ aiAgentRef: 'quiet' });
    const sent = tone(1000, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 16_000);
    await speak(call, sent);
    await call.pollUntil(({ heard }) => samplesOf(heard).length >= sent.length - 2000);
    const heard = samplesOf(call.heard);
    expect(sinadDb(heard.subarray(4000, 28_000), SAMPLE_RATE_HZ, 1000)).toBeGreaterThanOrEqual(80);
  });

  it('gives the caller back in echo mode', async () => {
    await start({ simulator: { mode: 'echo' }, profiles: { quiet: QUIET_PROFILE } });
    const call = new TestCall(gateway.url, 'echo');
    await call.create({ aiAgentRef: 'quiet' });
    const utterance = fixture('order-status-16k').subarray(3.5 * SAMPLE_RATE_HZ, 7.5 * SAMPLE_RATE_HZ);
    await speak(call, utterance);
    await speak(call, new Int16Array(SAMPLE_RATE_HZ));
    await call.pollUntil(({ lines }) => lines.some((line) => line.startsWith('[AI]')));
    const { coefficient } = bestCorrelation(utterance, samplesOf(call.heard), 4 * SAMPLE_RATE_HZ);
    expect(coefficient).toBeGreaterThan(0.99);
  });

  it('sends the same bytes upstream however the recording is cut', async () => {
    await start({ simulator: { captureAudio: true }, profiles: { quiet: QUIET_PROFILE } });
    const samples = fixture('order-status-16k').subarray(4 * SAMPLE_RATE_HZ, 6 * SAMPLE_RATE_HZ);
    const received: Buffer[] = [];
    for (const chunkMs of [20, 37, 100]) {
      const call = new TestCall(gateway.url, `cut-${chunkMs}`);
      await call.create({ aiAgentRef: 'quiet' });
      await speak(call, samples, chunkMs);
      const connection = gateway.simulator.connections.at(-1)!;
      // What the filter still holds back at the end is the same for all.
      const expected = (samples.length * 3) / 2 - 200;
      while (connection.receivedAudio().length < expected * 2) await new Promise((resolve) => setTimeout(resolve, 20));
      received.push(Buffer.from(connection.receivedAudio()));
      await call.end();
    }
    const length = Math.min(...received.map((bytes) => bytes.length), samples.length * 3 - 400);
    expect(length).toBeGreaterThan(samples.length * 2.9);
    for (const bytes of received.slice(1))
      expect(bytes.subarray(0, length).equals(received[0]!.subarray(0, length))).toBe(true);
  });
});
