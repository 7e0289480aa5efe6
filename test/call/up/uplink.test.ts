import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Sink } from '../../../src/bus/index.ts';
import { CallGuard } from '../../../src/call/guard.ts';
import { CallerAudioFeed } from '../../../src/call/up/caller-audio-feed.ts';
import { Uplink } from '../../../src/call/up/uplink.ts';
import type { CallerAudio } from '../../../src/upstream/ai-conversation.ts';
import { ManualLanes, turns } from '../support/lanes.ts';

const SINK = {
  queued: 0,
  write: ({ base64 }: CallerAudio) => sent.push(base64),
  end: () => sent.push('end'),
} as unknown as Sink<CallerAudio>;
const MULAW = { encoding: 'pcmu', sampleRateHz: 8000 } as const;

let lanes: ManualLanes;
let feed: CallerAudioFeed;
let sent: string[];
let told: string[];
let uplink: Uplink;

beforeEach(() => {
  vi.useFakeTimers();
  lanes = new ManualLanes();
  feed = new CallerAudioFeed(1_000);
  sent = [];
  told = [];
  uplink = new Uplink({
    lanes,
    feed,
    upstream: { command: (command) => told.push(`command ${JSON.stringify(command)}`) },
    observer: {
      dtmf: (count) => told.push(`${count} keys`),
      callerAudio: (audioMs) => told.push(`${audioMs} ms`),
      chunkRejected: (reason) => told.push(reason),
      chunksMissing: (count) => told.push(`${count} missing`),
    },
    clock: { onCallerActive: () => {}, onCallerAudio: () => {} },
    upstreamFormat: MULAW,
    guard: new CallGuard((error) => {
      throw error;
    }),
  });
  feed.attach(SINK);
});
afterEach(() => {
  uplink.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const pieces = (...names: string[]) =>
  ({ ok: true, pieces: names.map((base64) => ({ base64, audioMs: 100 })), audioMs: 100 * names.length }) as const;
/** Sends a chunk; resolves with `taken`, or with the code of what is wrong. */
const send = (name: string, chunkSeq?: number, dtmf?: string) =>
  (async () => uplink.accept({ audio: { data: name }, chunkSeq, dtmf, receivedAtMs: 0 }))().then(
    () => 'taken',
    ({ code, message }) => code ?? message,
  );
const inputs = () => lanes.ups[0]!.inputs.map(({ data }) => data);
/** The pool is done with everything, which passes as it came. */
async function convert(): Promise<void> {
  const [lane] = lanes.ups;
  for (let at = lane!.inputs.length - lane!.pending; lane!.pending > 0; at++) lane!.finish(pieces(`${inputs()[at]}`));
  await turns();
}

describe('the way up', () => {
  it('takes a chunk when it is checked, and passes on what it makes', async () => {
    const first = send('a');
    lanes.ups[0]!.finish(pieces('a1', 'a2'));
    expect(await first).toBe('taken');
    expect(sent).toEqual(['a1', 'a2']);
    expect(told).toEqual(['200 ms']);
  });

  it('keeps the order of numbered chunks, and takes each once', async () => {
    const all = [send('b', 1), send('a', 0), send('b', 1), send('c', 2)];
    await convert();
    expect(await Promise.all(all)).toEqual(['taken', 'taken', 'taken', 'taken']);
    expect(sent).toEqual(['a', 'b', 'c']);
    expect(told.filter((line) => line === 'repeat')).toHaveLength(1);
    expect(uplink.nextChunkSeq).toBe(3);
  });

  it('waits for a missing chunk, and not for long', async () => {
    const early = send('b', 1);
    await vi.advanceTimersByTimeAsync(299);
    expect(inputs()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(inputs()).toEqual(['b']);
    await convert();
    expect(await early).toBe('taken');
    expect(await send('a', 0)).toBe('taken');
    expect(sent).toEqual(['b']);
    expect(told).toEqual(['1 missing', '100 ms', 'late']);
  });

  it('does not wait for a chunk that was refused', async () => {
    uplink.consume(0);
    const next = send('b', 1);
    expect(inputs()).toEqual(['b']);
    await convert();
    expect(await next).toBe('taken');
  });

  it('refuses numbers that are out of reach, and a call that numbers some of its chunks', async () => {
    expect(await send('a', 100_001)).toBe('invalid_field');
    void send('a', 0);
    expect(await send('b')).toBe('invalid_field');
    await convert();
  });

  it('refuses what the pool refuses, and says which failure is its own', async () => {
    const odd = send('odd');
    lanes.ups[0]!.finish({ ok: false, reason: 'odd_length', message: 'audio has 3 bytes' });
    expect(await odd).toBe('invalid_audio');
    expect(told).toEqual(['odd_length']);
    const lost = send('lost');
    lanes.ups[0]!.fail(new Error('the thread died'));
    expect(await lost).toBe('the thread died');
  });

  it('takes no more than can wait', async () => {
    const waiting = Array.from({ length: 100 }, (_, index) => send(`${index}`));
    expect(await send('too much')).toBe('upstream_busy');
    await convert();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['taken']));
    const large = send('x'.repeat(20_000_000));
    expect(await send('y')).toBe('upstream_busy');
    await convert();
    expect(await large).toBe('taken');
  });

  it('tells keys with their chunk, in its place, and at once where they come alone', async () => {
    const late = send('b', 1, '2');
    void send('a', 0, '1');
    await uplink.accept({ dtmf: '0', receivedAtMs: 0 });
    await convert();
    await late;
    expect(told.filter((line) => line.startsWith('command'))).toEqual(
      ['0', '1', '2'].map((digits) => `command ${JSON.stringify({ type: 'dtmf', digits })}`),
    );
  });

  it('streams beside the chunks, in a format of its own, as long as there is room', async () => {
    const stream = uplink.stream(MULAW, { kind: 'pcmu' });
    const [, lane] = lanes.ups;
    expect(lane!.formats).toEqual([MULAW]);
    for (let count = 0; count < 100; count++) {
      expect(stream.hasRoom).toBe(true);
      stream.push(new Uint8Array(8), 0);
    }
    expect(stream.hasRoom).toBe(false);
    for (let count = 0; count < 99; count++) lane!.finish(pieces(`s${count}`));
    lane!.fail(new Error('the thread died'));
    await turns();
    expect(sent).toHaveLength(99);
    expect(told.at(-1)).toBe('internal');
  });

  it('keeps what is young while there is no worker, and forgets what comes after the end', async () => {
    feed.attach(undefined);
    const all = Array.from({ length: 15 }, (_, index) => send(`${index}`));
    await convert();
    await Promise.all(all);
    feed.attach(SINK);
    expect(sent).toEqual(['5', '6', '7', '8', '9', '10', '11', '12', '13', '14']);
    const underWay = send('late');
    uplink.close();
    uplink.close();
    await convert();
    expect(await underWay).toBe('taken');
    expect(await send('later')).toBe('taken');
    expect(sent.slice(10)).toEqual(['end']);
  });
});
