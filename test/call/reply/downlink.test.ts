import { beforeEach, describe, expect, it } from 'vitest';
import { CallGuard } from '../../../src/call/guard.ts';
import { Transcript } from '../../../src/call/record/transcript.ts';
import { Downlink } from '../../../src/call/reply/downlink.ts';
import { Playhead } from '../../../src/call/reply/playhead.ts';
import { Replies } from '../../../src/call/reply/replies.ts';
import { frames, ManualLanes, turns } from '../support/lanes.ts';

const MULAW = { encoding: 'pcmu', sampleRateHz: 8000 } as const;
const WIDE = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;

let lanes: ManualLanes;
let replies: Replies;
let told: string[];
let defects: Error[];
let downlink: Downlink;

beforeEach(() => {
  lanes = new ManualLanes();
  replies = new Replies(new Transcript({ pushTranscript: () => {} }), new Playhead());
  told = [];
  defects = [];
  downlink = new Downlink({
    lanes,
    replies,
    format: MULAW,
    guard: new CallGuard((error) => defects.push(error)),
    listener: {
      onReceived: ({ itemId }, receivedAtMs) => told.push(`${itemId} received at ${receivedAtMs}`),
      onFrames: ({ itemId }, ready, { encoding }) =>
        told.push(`${itemId} ${ready.map(({ base64 }) => base64).join(' ')} ${encoding}`),
      onComplete: ({ itemId }) => told.push(`${itemId} complete`),
      onRejected: (reason, message) => told.push(`${reason}: ${message}`),
    },
  });
});

const delta = (itemId: string, receivedAtMs = 0) =>
  downlink.accept({ kind: 'delta', itemId, base64: 'x', audioMs: 60, receivedAtMs });
const end = (itemId: string) => downlink.accept({ kind: 'end', itemId });
const framesTold = () => told.filter((line) => !line.includes('received'));

describe('the way down', () => {
  it('brings frames in the order in which their audio came, whatever the pool finishes first', async () => {
    delta('a', 5);
    end('a');
    delta('b', 7);
    lanes.downs[1]!.finish(frames('b', 1));
    await turns();
    expect(framesTold()).toEqual([]);
    lanes.downs[0]!.finish(frames('a', 2));
    lanes.downs[0]!.finish(frames('A', 1, 20));
    await turns();
    expect(told).toEqual([
      'a received at 5',
      'b received at 7',
      'a a000 a001 pcmu',
      'a A000 pcmu',
      'a complete',
      'b b000 pcmu',
    ]);
  });

  it('ends a reply before the next, where its own end comes late', async () => {
    delta('a');
    delta('b');
    expect(lanes.downs[0]!.inputs).toEqual(['x', null]);
    end('a');
    for (const output of [frames('a', 1), frames('A', 1)]) lanes.downs[0]!.finish(output);
    lanes.downs[1]!.finish(frames('b', 1));
    await turns();
    expect(framesTold()).toEqual(['a a000 pcmu', 'a A000 pcmu', 'a complete', 'b b000 pcmu', 'a complete']);
  });

  it('drops what is under way of a reply that is cut, and what still comes', async () => {
    delta('a');
    replies.cut('a', 0);
    delta('a');
    end('a');
    expect(lanes.downs[0]!.inputs).toEqual(['x', null]);
    lanes.downs[0]!.finish(frames('a', 1));
    lanes.downs[0]!.finish(frames('A', 1));
    await turns();
    expect(framesTold()).toEqual(['a complete']);
  });

  it('asks to hold back when too much waits, and lets go when that is done', async () => {
    const held = Array.from({ length: 33 }, () => delta('a'));
    expect(held.slice(0, 32)).toEqual(Array(32).fill(undefined));
    let isDone = false;
    void held[32]!.then(() => {
      isDone = true;
    });
    for (let index = 0; index < 33; index++) {
      expect(isDone).toBe(false);
      lanes.downs[0]!.finish(frames('a', 1));
      await turns();
    }
    expect(isDone).toBe(true);
  });

  it('changes the format between two frames of a reply', async () => {
    delta('a');
    downlink.useFormat(WIDE);
    delta('a');
    expect(lanes.downs.map(({ formats }) => formats[0])).toEqual([MULAW, WIDE]);
    lanes.downs[0]!.finish(frames('a', 1));
    lanes.downs[0]!.finish(frames('b', 1));
    lanes.downs[1]!.finish(frames('c', 1));
    await turns();
    expect(framesTold()).toEqual(['a a000 pcmu', 'a b000 pcmu', 'a c000 pcm16']);
  });

  it('tells what cannot be used, and goes on', async () => {
    delta('a');
    delta('a');
    end('a');
    lanes.downs[0]!.finish({ ok: false, reason: 'not_base64', message: 'no audio' });
    lanes.downs[0]!.fail(new Error('the thread died'));
    lanes.downs[0]!.fail(new Error('this one too'));
    await turns();
    expect(framesTold()).toEqual([
      'not_base64: no audio',
      'internal: the thread died',
      'internal: this one too',
      'a complete',
    ]);
    expect(defects).toEqual([]);
  });

  it('says when everything is out that was said before a tool was called, whoever asks first', async () => {
    const reached: string[] = [];
    const ask = (id: string) => void downlink.said(id).then(() => reached.push(id));
    ask('early');
    delta('a');
    downlink.accept({ kind: 'tool', toolCallId: 'early' });
    downlink.accept({ kind: 'tool', toolCallId: 'late' });
    ask('late');
    await turns();
    expect(reached).toEqual([]);
    lanes.downs[0]!.finish(frames('a', 1));
    await turns();
    expect(reached).toEqual(['early', 'late']);
  });

  it('ends what is open when the worker is gone: replies, and places that will not be reached', async () => {
    let isReached = false;
    void downlink.said('tool').then(() => {
      isReached = true;
    });
    delta('a');
    downlink.endAll();
    lanes.downs[0]!.finish(frames('a', 1));
    lanes.downs[0]!.finish(frames('A', 1));
    await downlink.drained();
    await turns();
    expect(framesTold()).toEqual(['a a000 pcmu', 'a A000 pcmu', 'a complete']);
    expect(isReached).toBe(true);
  });
});
