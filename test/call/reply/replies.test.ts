import { beforeEach, describe, expect, it } from 'vitest';
import { Transcript } from '../../../src/call/record/transcript.ts';
import { Playhead } from '../../../src/call/reply/playhead.ts';
import { Replies } from '../../../src/call/reply/replies.ts';

const TEXT = 'one two three four five six seven eight nine ten';

let playhead: Playhead;
let transcript: Transcript;
let lines: string[];
let replies: Replies;

beforeEach(start);

function start(): void {
  lines = [];
  playhead = new Playhead();
  transcript = new Transcript({ pushTranscript: (line) => lines.push(line) });
  replies = new Replies(transcript, playhead);
}

function ready(itemId: string, frames: number): void {
  replies.of(itemId).told(frames * 60);
  replies.of(itemId).received(frames * 60);
}
function deliver(itemId: string, frames: number, nowMs = 0): void {
  for (let i = 0; i < frames; i++) playhead.delivered(replies.of(itemId), 60, 60, nowMs);
  replies.settle(replies.of(itemId));
}
function complete(itemId: string): void {
  replies.of(itemId).complete();
  replies.settle(replies.of(itemId));
}

describe('a reply', () => {
  it('is written down when all of it was delivered, whatever comes last', () => {
    const steps = [() => replies.setWords('a', TEXT, 600), () => complete('a'), () => deliver('a', 10)];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      start();
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
    replies.setWords('a', TEXT, 600);
    expect(transcript.conversation.replay()).toMatchObject([{ text: TEXT }]);
    expect(lines).toEqual([]);
  });

  it('is cut to what was heard, once', () => {
    ready('a', 10);
    replies.setWords('a', TEXT, 600);
    replies.cut('a', 300);
    replies.cut('a', 60);
    expect(lines).toEqual(['[AI]: one two three four five']);
    complete('a');
    deliver('a', 10);
    expect(lines).toHaveLength(1);
    expect(transcript.conversation.lines()).toEqual(lines);
  });

  it('that was cut before its text was known is cut when it is', () => {
    replies.cut('a', 300);
    expect(lines).toEqual([]);
    // Twice as long as what had come when it was cut: the text goes with all of it.
    replies.setWords('a', TEXT, 1200);
    expect(lines).toEqual(['[AI]: one two']);
  });

  it('of which nothing was heard is no line', () => {
    ready('a', 10);
    replies.setWords('a', TEXT, 600);
    replies.cut('a', 0);
    expect(lines).toEqual([]);
    expect(transcript.conversation.lines()).toEqual([]);
    expect(transcript.conversation.replay()).toEqual([]);
  });

  it('that is cut after its line went out is cut in the conversation', () => {
    ready('a', 10);
    replies.setWords('a', TEXT, 600);
    complete('a');
    deliver('a', 10);
    replies.cut('a', 300);
    expect(lines).toEqual([`[AI]: ${TEXT}`]);
    expect(transcript.conversation.lines()).toEqual(['[AI]: one two three four five']);
  });

  it('of which the end was never made ready, because nobody fetched it, ends there', () => {
    ready('a', 5);
    replies.setWords('a', TEXT, 600);
    complete('a');
    deliver('a', 5);
    expect(lines).toEqual(['[AI]: one two three four five']);
  });

  it('loses no words to the rounding of its frames', () => {
    replies.of('a').received(595);
    replies.setWords('a', TEXT, 600);
    complete('a');
    for (let i = 0; i < 9; i++) playhead.delivered(replies.of('a'), 60, 60, 0);
    playhead.delivered(replies.of('a'), 60, 55, 0);
    replies.settle(replies.of('a'));
    expect(lines).toEqual([`[AI]: ${TEXT}`]);
  });

  it('that was still playing when the call ended is cut to what was heard by then', () => {
    ready('a', 20);
    replies.setWords('a', TEXT, 1200);
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
    expect(transcript.conversation.has('a')).toBe(false);
  });
});

describe('what is over', () => {
  it('is forgotten: after an hour with 400 replies nothing is held but what still plays', () => {
    let nowMs = 0;
    let mostHeld = 0;
    const text = 'Yes, I can do that for you.';
    for (let index = 0; index < 400; index++) {
      const itemId = `item-${index}`;
      transcript.conversation.add(itemId, null, 'assistant');
      ready(itemId, 50);
      deliver(itemId, 50, nowMs);
      // Every fifth is interrupted in its middle, every seventh has a filler behind it.
      if (index % 5 === 0) {
        playhead.interrupt(nowMs + 1500);
        replies.cut(itemId, 1500);
      }
      replies.setWords(itemId, text, 3000);
      complete(itemId);
      if (index % 7 === 0) {
        const filler = replies.filler(`filler_${index}`);
        filler.received(600);
        for (let i = 0; i < 10; i++) playhead.delivered(filler, 60, 60, nowMs + 3000);
      }
      for (const endMs = nowMs + 9000; nowMs < endMs; nowMs += 1000) {
        replies.forget(nowMs);
        mostHeld = Math.max(mostHeld, replies.count);
      }
    }
    expect(mostHeld).toBeLessThanOrEqual(4);
    replies.forget(nowMs + 20_000);
    expect(replies.all()).toEqual([]);
    expect(lines).toHaveLength(400);
    expect(transcript.conversation.lines()).toHaveLength(400);
  });

  it('is not held by what a worker may still say of it', () => {
    ready('a', 10);
    replies.setWords('a', TEXT, 600);
    deliver('a', 10);
    complete('a');
    replies.forget(20_000);
    expect(replies.isUnheard('a', 600, 20_000)).toBe(false);
    replies.setWords('a', 'again', 600);
    expect(replies.count).toBe(0);
    // Audio that comes all the same is played, and no line of its own.
    ready('a', 1);
    deliver('a', 1, 20_000);
    expect(replies.isUnheard('a', 660, 20_000)).toBe(true);
    complete('a');
    replies.forget(40_000);
    expect(replies.count).toBe(0);
    expect(lines).toEqual([`[AI]: ${TEXT}`]);
  });

  it('is so only when nothing more comes of it: text, audio, playback', () => {
    for (const missing of ['words', 'end', 'playback']) {
      start();
      ready('a', 10);
      if (missing !== 'words') replies.setWords('a', TEXT, 600);
      deliver('a', missing === 'playback' ? 9 : 10);
      if (missing !== 'end') complete('a');
      replies.forget(60_000);
      expect(replies.count, missing).toBe(1);
    }
  });
});

describe('the replies of a worker that dies', () => {
  const say = (itemId: string, text: string | undefined, audioMs = 500) => replies.of(itemId).told(audioMs, text);

  it('end where they were, each once', () => {
    say('a', 'Good ');
    say('a', undefined);
    say('a', 'morning');
    replies.abandon();
    expect(replies.of('a').wordsSoFar).toEqual({ text: 'Good morning', audioMs: 1500 });
    replies.abandon();
    expect(transcript.conversation.lines()).toEqual(['[AI]: Good morning']);
  });

  it('that were over are handed over, and not ended again', () => {
    say('a', 'Good ');
    replies.setWords('a', 'Good morning.', 1200);
    replies.abandon();
    expect(replies.handed).toEqual([{ itemId: 'a', text: 'Good morning.', audioMs: 1200 }]);
  });

  it('that were cut, or are known by another id, are not handed over', () => {
    for (const itemId of ['a', 'b', 'c']) say(itemId, itemId);
    replies.cut('a', 100);
    replies.of('b').settledUpstream();
    expect(replies.handed.map(({ itemId }) => itemId)).toEqual(['c']);
  });

  it('without audio are none of the caller’s business', () => {
    replies.setWords('a', 'unspoken', 0);
    expect(replies.handed).toEqual([]);
    // Cut before any of it came: it will not.
    replies.cut('b', 0);
    replies.abandon();
    expect(replies.find('b')).toBeUndefined();
  });
});
