import { beforeEach, describe, expect, it } from 'vitest';
import { TranscriptLines } from '../../../src/call/record/lines.ts';
import { PlaybackLedger } from '../../../src/call/reply/playback-ledger.ts';
import { Replies } from '../../../src/call/reply/replies.ts';
import { Conversation } from '../../../src/upstream/conversation.ts';

const TEXT = 'one two three four five six seven eight nine ten';

let ledger: PlaybackLedger;
let conversation: Conversation;
let lines: string[];
let replies: Replies;

beforeEach(() => {
  ledger = new PlaybackLedger();
  conversation = new Conversation();
  lines = [];
  replies = new Replies(conversation, ledger, new TranscriptLines(() => 0), (line) => lines.push(line));
});

function ready(itemId: string, frames: number): void {
  ledger.received(itemId, frames * 60);
}
function deliver(itemId: string, frames: number, nowMs = 0): void {
  for (let i = 0; i < frames; i++) ledger.delivered(itemId, 60, 60, nowMs);
  replies.settle(itemId);
}
function complete(itemId: string): void {
  ledger.completed(itemId);
  replies.settle(itemId);
}

describe('a reply', () => {
  it('is written down when all of it was delivered, whatever comes last', () => {
    const steps = [() => replies.setText('a', TEXT, 600), () => complete('a'), () => deliver('a', 10)];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      ledger = new PlaybackLedger();
      conversation = new Conversation();
      lines = [];
      replies = new Replies(conversation, ledger, new TranscriptLines(() => 0), (line) => lines.push(line));
      ready('a', 10);
      for (const [index, step] of order.entries()) {
        expect(lines).toEqual([]);
        steps[step]!();
        if (index === 2) expect(lines).toEqual([`[AI]: ${TEXT}`]);
      }
    }
  });

  it('stands whole in the conversation until it is known how much was heard', () => {
    ready('a', 10);
    replies.setText('a', TEXT, 600);
    expect(conversation.replay()).toMatchObject([{ text: TEXT }]);
    expect(lines).toEqual([]);
  });

  it('is cut to what was heard, once', () => {
    ready('a', 10);
    replies.setText('a', TEXT, 600);
    replies.cut('a', 300);
    replies.cut('a', 60);
    expect(lines).toEqual(['[AI]: one two three four five']);
    complete('a');
    deliver('a', 10);
    expect(lines).toHaveLength(1);
    expect(conversation.lines()).toEqual(lines);
  });

  it('that was cut before its text was known is cut when it is', () => {
    replies.cut('a', 300);
    expect(lines).toEqual([]);
    // Twice as long as what had come when it was cut: the text goes with all of it.
    replies.setText('a', TEXT, 1200);
    expect(lines).toEqual(['[AI]: one two']);
  });

  it('of which nothing was heard is no line', () => {
    ready('a', 10);
    replies.setText('a', TEXT, 600);
    replies.cut('a', 0);
    expect(lines).toEqual([]);
    expect(conversation.lines()).toEqual([]);
    expect(conversation.replay()).toEqual([]);
  });

  it('that is cut after its line went out is cut in the conversation', () => {
    ready('a', 10);
    replies.setText('a', TEXT, 600);
    complete('a');
    deliver('a', 10);
    replies.cut('a', 300);
    expect(lines).toEqual([`[AI]: ${TEXT}`]);
    expect(conversation.lines()).toEqual(['[AI]: one two three four five']);
  });

  it('of which the end was never made ready, because nobody fetched it, ends there', () => {
    ready('a', 5);
    replies.setText('a', TEXT, 600);
    complete('a');
    deliver('a', 5);
    expect(lines).toEqual(['[AI]: one two three four five']);
  });

  it('loses no words to the rounding of its frames', () => {
    ledger.received('a', 595);
    replies.setText('a', TEXT, 600);
    complete('a');
    for (let i = 0; i < 9; i++) ledger.delivered('a', 60, 60, 0);
    ledger.delivered('a', 60, 55, 0);
    replies.settle('a');
    expect(lines).toEqual([`[AI]: ${TEXT}`]);
  });

  it('that was still playing when the call ended is cut to what was heard by then', () => {
    ready('a', 20);
    replies.setText('a', TEXT, 1200);
    deliver('a', 10);
    replies.settleAll(600);
    expect(lines).toEqual(['[AI]: one two three four five']);
    replies.settleAll(9000);
    expect(lines).toHaveLength(1);
  });

  it('without a text is no line when the call ends', () => {
    ready('a', 10);
    replies.cut('a', 100);
    replies.settleAll(0);
    expect(lines).toEqual([]);
    expect(conversation.has('a')).toBe(false);
  });
});
