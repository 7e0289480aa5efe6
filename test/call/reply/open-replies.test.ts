import { beforeEach, describe, expect, it } from 'vitest';
import { OpenReplies } from '../../../src/call/reply/open-replies.ts';

let replies: OpenReplies;
beforeEach(() => {
  replies = new OpenReplies();
});

function say(itemId: string, text: string | undefined, audioMs = 500): void {
  const added = text === undefined ? {} : { text };
  replies.audio({ kind: 'delta', itemId, base64: '', audioMs, ...added, receivedAtMs: 0 });
}
const finished = (itemId: string, text: string, audioMs: number) =>
  replies.event({ type: 'assistant_text', itemId, text, audioMs });

describe('the replies of a worker that dies', () => {
  it('end where they were, each once', () => {
    say('a', 'Good ');
    say('a', undefined);
    say('a', 'morning');
    expect(replies.finish()).toEqual([{ itemId: 'a', text: 'Good morning', audioMs: 1500 }]);
    expect(replies.finish()).toEqual([]);
  });

  it('that were over are handed over, and not ended again', () => {
    say('a', 'Good ');
    finished('a', 'Good morning.', 1200);
    expect(replies.finish()).toEqual([]);
    expect(replies.handedReplies).toEqual([{ itemId: 'a', text: 'Good morning.', audioMs: 1200 }]);
  });

  it('that were cut, or are known by another id, are not handed over', () => {
    for (const itemId of ['a', 'b', 'c']) say(itemId, itemId);
    replies.event({ type: 'truncated', itemId: 'a', audioEndMs: 100 });
    replies.event({ type: 'item_renamed', itemId: 'b', newItemId: 'b2' });
    expect(replies.handedReplies.map(({ itemId }) => itemId)).toEqual(['c']);
  });

  it('are as many as anybody can still be listening to', () => {
    for (let index = 0; index < 100; index++) {
      say(`item-${index}`, 'Hello');
      finished(`item-${index}`, 'Hello', 500);
    }
    const ids = replies.handedReplies.map(({ itemId }) => itemId);
    expect(ids.at(-1)).toBe('item-99');
    expect(ids.length).toBeLessThan(20);
  });

  it('without audio are none of the caller’s business', () => {
    finished('a', 'unspoken', 0);
    expect(replies.handedReplies).toEqual([]);
  });
});

describe('an answer', () => {
  const started = () => replies.event({ type: 'response_started', responseId: 'r1', atMs: 0 });

  it('is cut short from its beginning to its end', () => {
    expect(replies.isCutShort).toBe(false);
    started();
    expect(replies.isCutShort).toBe(true);
    replies.event({ type: 'response_done', responseId: 'r1', status: 'completed' });
    expect(replies.isCutShort).toBe(false);
  });

  it.each([
    { type: 'speech_started', itemId: 'u1', atMs: 0 },
    { type: 'upstream_restored', outageMs: 1, attempt: 1, droppedAudioMs: 0 },
    { type: 'rotated', tookMs: 1 },
  ] as const)('that nobody waits for any more is not: $type', (event) => {
    started();
    replies.event(event);
    expect(replies.isCutShort).toBe(false);
  });
});
