import { beforeEach, describe, expect, it } from 'vitest';
import { Transcript } from '../../../src/call/record/transcript.ts';
import { Interruptions } from '../../../src/call/reply/interruptions.ts';
import { Outbox } from '../../../src/call/reply/outbox.ts';
import { Playhead } from '../../../src/call/reply/playhead.ts';
import { Replies } from '../../../src/call/reply/replies.ts';
import { monotonicNowMs } from '../../../src/clock.ts';

let playhead: Playhead;
let outbox: Outbox;
let lines: string[];
let settled: [string, boolean][];
let underWay: Set<string>;
let told: number;
let interruptions: Interruptions;
let replies: Replies;

beforeEach(() => {
  playhead = new Playhead();
  outbox = new Outbox({ wake: () => {} }, { onDelivered: () => {} });
  lines = [];
  settled = [];
  underWay = new Set();
  told = 0;
  replies = new Replies(new Transcript({ pushTranscript: (line) => lines.push(line) }), playhead);
  interruptions = new Interruptions({
    replyPath: {
      replies,
      interrupt: (nowMs, keepAction) => {
        playhead.interrupt(nowMs);
        return outbox.interrupt(keepAction);
      },
      get generation() {
        return outbox.generation;
      },
    },
    tools: {
      interrupted: () => {
        told += 1;
      },
      isUnderWay: (id: string) => underWay.has(id),
      settleAction: (id: string, delivered: boolean) => settled.push([id, delivered]),
    },
    streams: { settle: () => {}, flush: () => {} },
    deliveries: { interrupted: () => {} },
    observer: { interrupted: () => {} },
  });
});

/** An item of a second, of which the client has had `deliveredMs`, long ago unless it is given as playing now. */
function item(itemId: string, deliveredMs: number, deliveredAtMs = monotonicNowMs() - 60_000) {
  replies.of(itemId).received(1020);
  for (let ms = 0; ms < deliveredMs; ms += 60) playhead.delivered(replies.of(itemId), 60, 60, deliveredAtMs);
}
const open = (itemId: string, receivedMs = 1020, isProtected = false) => ({ itemId, receivedMs, isProtected });

describe('an interruption', () => {
  it('of nothing changes nothing', () => {
    item('a', 1020);
    expect(interruptions.isPlaying([open('a')])).toBe(false);
    expect(interruptions.interrupt([open('a')], 0)).toEqual({ cuts: [], heard: ['a'], isProtected: false });
    expect(interruptions.interrupt([], 0)).toEqual({ cuts: [], heard: [], isProtected: false });
    expect(outbox.generation).toBe(0);
    expect(told).toBe(0);
  });

  it('that comes before another was answered stops nothing twice', () => {
    item('a', 600);
    // Not ready for the client yet, so nobody has told of it here.
    const items = [open('a'), open('b', 300)];
    const { cuts } = interruptions.interrupt(items, 0);
    expect(cuts.map(({ itemId }) => itemId)).toEqual(['a', 'b']);
    expect(interruptions.isPlaying(items)).toBe(false);
    expect(interruptions.interrupt(items, 0)).toEqual({ cuts, heard: [], isProtected: false });
    expect(outbox.generation).toBe(1);
    expect(told).toBe(1);
    // What is said after it is stopped as ever.
    item('c', 0);
    expect(interruptions.interrupt([...items, open('c')], 0).cuts).toContainEqual({ itemId: 'c', heardMs: 0 });
    expect(outbox.generation).toBe(2);
  });

  it('cuts what is unheard to what was heard', () => {
    item('a', 1020);
    item('b', 600);
    item('c', 0);
    expect(interruptions.isPlaying([open('a'), open('b'), open('c')])).toBe(true);
    const verdict = interruptions.interrupt([open('a'), open('b'), open('c')], 0);
    expect(verdict).toEqual({
      cuts: [
        { itemId: 'b', heardMs: 600 },
        { itemId: 'c', heardMs: 0 },
      ],
      heard: ['a'],
      isProtected: false,
    });
    expect(replies.all().map(({ isClosed }) => isClosed)).toEqual([false, true, true]);
    expect(outbox.generation).toBe(1);
    expect(told).toBe(1);
    // It is over with them: the next one finds nothing.
    expect(interruptions.interrupt([], 0)).toMatchObject({ cuts: [] });
    expect(outbox.generation).toBe(1);
  });

  it('takes the worker’s word for audio that is not ready for the client yet', () => {
    expect(interruptions.isPlaying([open('new', 200)])).toBe(true);
    expect(interruptions.interrupt([open('new', 200)], 0)).toMatchObject({ cuts: [{ itemId: 'new', heardMs: 0 }] });
  });

  it('leaves everything alone while something protected plays', () => {
    item('greeting', 300);
    item('answer', 0);
    expect(interruptions.isPlaying([open('greeting', 1020, true)])).toBe(true);
    expect(interruptions.interrupt([open('greeting', 1020, true), open('answer')], 0)).toEqual({
      cuts: [],
      heard: [],
      isProtected: true,
    });
    expect(outbox.generation).toBe(0);
    expect(replies.all().some(({ isCut }) => isCut)).toBe(false);
  });

  it('does not take what is protected for something to interrupt', () => {
    item('greeting', 300);
    expect(interruptions.isPlaying([open('greeting', 1020, true)])).toBe(false);
  });

  it('stops what plays that the worker knows nothing of', () => {
    item('filler', 300);
    expect(interruptions.isPlaying([])).toBe(true);
    expect(interruptions.interrupt([], 0)).toMatchObject({ cuts: [{ itemId: 'filler', heardMs: 300 }] });
    expect(outbox.generation).toBe(1);
    expect(lines).toEqual([]);
  });

  it('withdraws the actions of tools, and no others', () => {
    item('a', 300);
    underWay.add('tool');
    outbox.pushAction({ id: 'tool', type: 'transfer', extension: '200' });
    outbox.pushAction({ id: 'fallback', type: 'transfer', extension: '200' });
    interruptions.interrupt([open('a')], 0);
    expect(settled).toEqual([['tool', false]]);
    expect(outbox.take({}).entries).toMatchObject([{ action: { id: 'fallback' } }]);
  });
});
