import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWav } from '../../src/audio/wav.ts';
import { forgetCaller } from '../../src/store/upkeep.ts';
import { http, TestCall } from '../support/call.ts';
import { DuplexCall, hangUpAll } from '../support/duplex-call.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

const RATE_HZ = 16_000;
const FORMAT = { encoding: 'pcm16', sampleRateHz: RATE_HZ } as const;
const CALLER = '+39 333 1234567';
const FRAME_MS = 60;

/** The interrupter, from shortly before his question until shortly after he has interrupted the answer. */
const file = readWav(readFileSync(new URL('../../fixtures/calls/interrupter-16k.wav', import.meta.url)));
const SPEECH = Buffer.from(Int16Array.from(file.samples.subarray(3.9 * RATE_HZ, 8.9 * RATE_HZ)).buffer);

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1' },
    profiles: {
      recorded: { ...QUIET_PROFILE, recording: { notice: 'beep' } },
      unrecorded: QUIET_PROFILE,
    },
  });
  await Promise.all([byPolls('recorded-polls'), streamed('recorded-stream')]);
}, 60_000);
afterAll(async () => {
  hangUpAll();
  await gateway.stop();
});

const recordings = () => join(gateway.folder, 'data', 'recordings');

/** Both sides of a recording, a sample each. */
async function sidesOf(callId: string): Promise<{ caller: Int16Array; agent: Int16Array }> {
  const url = `${gateway.url}/api/voice/calls/${callId}/recording`;
  await expect.poll(async () => (await fetch(url)).status, { timeout: 5_000 }).toBe(200);
  const answer = await fetch(url);
  expect(answer.headers.get('content-type')).toBe('audio/wav');
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect([bytes.readUInt16LE(22), bytes.readUInt32LE(24), bytes.readUInt32LE(40)]).toEqual([
    2,
    RATE_HZ,
    bytes.length - 44,
  ]);
  const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset + 44, bytes.byteOffset + bytes.length));
  return {
    caller: samples.filter((_, index) => index % 2 === 0),
    agent: samples.filter((_, index) => index % 2 === 1),
  };
}

/** How loud a stretch of the call's clock is. */
function peak(samples: Int16Array, fromMs: number, toMs: number): number {
  return samples
    .subarray((fromMs * RATE_HZ) / 1000, (toMs * RATE_HZ) / 1000)
    .reduce((top, one) => Math.max(top, Math.abs(one)), 0);
}

/** When the last sound before a moment is over. */
function lastSoundMs(all: Int16Array, beforeMs: number): number {
  const samples = all.subarray(0, (beforeMs * RATE_HZ) / 1000);
  return (samples.findLastIndex((sample) => Math.abs(sample) > 20) * 1000) / RATE_HZ;
}

async function byPolls(callId: string): Promise<void> {
  const call = new TestCall(gateway.url, callId);
  await call.create({ callerNumber: CALLER, aiAgentRef: 'recorded' });
  let isOver = false;
  const polling = (async () => {
    while (!isOver) await call.poll('timeout=200');
  })();
  const startedAtMs = performance.now();
  for (let at = 0; at < SPEECH.length; at += 3_200) {
    await call.send(SPEECH.subarray(at, at + 3_200));
    await sleep(Math.max(0, startedAtMs + at / 32 + 100 - performance.now()));
  }
  isOver = true;
  await polling;
}

async function streamed(callId: string): Promise<void> {
  const call = new TestCall(gateway.url, callId);
  await call.create({ callerNumber: CALLER, aiAgentRef: 'recorded' });
  const stream = new DuplexCall(gateway.url, callId, { format: FORMAT, contentType: 'audio/pcm;rate=16000' });
  await stream.answered;
  await stream.speakOn().say(SPEECH);
}

interface TimelineEvent {
  readonly type: string;
  readonly atMs: number;
  readonly heardMs?: number;
}

describe('a recording', () => {
  it.each(['polls', 'stream'])(
    'falls silent where the interrupted answer was cut, by %s',
    async (way) => {
      const callId = `recorded-${way}`;
      const url = `${gateway.url}/api/voice/session/${callId}`;
      const { events } = (await http('GET', `${url}/events`)).body as { events: TimelineEvent[] };
      const interruption = events.find(({ type, heardMs = 0 }) => type === 'interrupted' && heardMs > 300)!;
      const { summary } = (await http('POST', `${url}/end`)).body;
      const { atMs, heardMs = 0 } = interruption;
      const { caller, agent } = await sidesOf(callId);
      // He goes on speaking for longer than that, so that there is no other answer yet.
      const silentFromMs = lastSoundMs(agent, atMs + 400);
      expect(silentFromMs).toBeLessThan(atMs + FRAME_MS);
      expect(silentFromMs).toBeGreaterThan(atMs - 2 * FRAME_MS);
      // What is heard of the answer is what the transcript was cut to.
      expect(peak(agent, atMs - heardMs, atMs - heardMs + 400)).toBeGreaterThan(500);
      expect(peak(agent, atMs - heardMs - 200, atMs - heardMs - FRAME_MS)).toBeLessThan(20);
      expect(summary.transcript.join()).not.toContain('refund');
      // The caller's words stand before their turns' ends: 500 ms of silence end one.
      const [stopped] = events.filter(({ type }) => type === 'speech_stopped');
      expect(peak(caller, stopped!.atMs - 1_300, stopped!.atMs - 700)).toBeGreaterThan(500);
    },
    30_000,
  );

  it('begins with a beep where the profile asks for one', async () => {
    const call = new TestCall(gateway.url, 'beeped');
    await call.create({ aiAgentRef: 'recorded' });
    await call.pollUntil(({ heard }) => heard.length > 0);
    await call.end();
    const heard = Buffer.concat(call.heard);
    const samples = new Int16Array(heard.buffer.slice(heard.byteOffset, heard.byteOffset + heard.length));
    expect(peak(samples, 0, 200)).toBeGreaterThan(5_000);
  });

  it('is listed, can be had in part, and is nobody’s where the profile asks for none', async () => {
    const kept = (await http('GET', `${gateway.url}/api/voice/calls/recorded-polls`)).body;
    expect(kept.recording).toMatchObject({ isWhole: true });
    expect(kept.recording.durationMs).toBeGreaterThan(5_000);
    const url = `${gateway.url}/api/voice/calls/recorded-polls/recording`;
    const part = await fetch(url, { headers: { range: 'bytes=8-11' } });
    expect([part.status, await part.text()]).toEqual([206, 'WAVE']);
    expect((await fetch(url, { headers: { range: 'bytes=99999999-' } })).status).toBe(400);
    const call = new TestCall(gateway.url, 'unrecorded');
    await call.create({ callerNumber: CALLER, aiAgentRef: 'unrecorded' });
    await call.send(SPEECH.subarray(0, 3_200));
    await call.end();
    const other = await http('GET', `${gateway.url}/api/voice/calls/unrecorded/recording`);
    expect([other.status, other.body.code]).toEqual([404, 'recording_not_found']);
    expect((await http('GET', `${gateway.url}/api/voice/calls/unrecorded`)).body.recording).toBeUndefined();
  });

  it('goes with the rest when its caller is forgotten', async () => {
    const count = readdirSync(recordings()).length;
    const { recordingCount } = forgetCaller(join(gateway.folder, 'data'), CALLER);
    expect(recordingCount).toBe(2);
    // Somebody else's stays.
    expect(readdirSync(recordings())).toHaveLength(count - 2);
    expect(count).toBeGreaterThan(2);
    expect((await http('GET', `${gateway.url}/api/voice/calls/recorded-polls/recording`)).status).toBe(404);
  });
});
