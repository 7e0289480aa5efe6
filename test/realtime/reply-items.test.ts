import { beforeEach, describe, expect, it } from 'vitest';
import { base64Bytes, ReplyItems } from '../../src/realtime/reply-items.ts';
import type { ReplyAudio, SessionEvent } from '../../src/upstream/host.ts';

let heard: (ReplyAudio | SessionEvent)[];
let items: ReplyItems;

beforeEach(() => {
  heard = [];
  items = new ReplyItems({ audio: (audio) => heard.push(audio), event: (event) => heard.push(event) }, 8, () => 5);
});

/** Base64 of so many milliseconds of G.711. */
const audio = (ms: number) => Buffer.alloc(ms * 8).toString('base64');

describe('base64Bytes', () => {
  it.each([0, 1, 2, 3, 4, 239, 240, 241])('counts %d bytes', (length) => {
    expect(base64Bytes(Buffer.alloc(length).toString('base64'))).toBe(length);
  });
});

describe('ReplyItems', () => {
  it('passes audio on, and the text when both are over, with the length it goes with', () => {
    const item = items.get('a', 'r1');
    items.audio(item, audio(100));
    item.text = 'Hello';
    items.endText(item);
    expect(heard).toEqual([{ kind: 'delta', itemId: 'a', base64: audio(100), audioMs: 100, receivedAtMs: 5 }]);
    items.audio(item, audio(50));
    items.endAudio(item);
    items.endAudio(item);
    items.endText(item);
    expect(heard.slice(2)).toEqual([
      { kind: 'end', itemId: 'a' },
      { type: 'assistant_text', itemId: 'a', text: 'Hello', audioMs: 150 },
    ]);
  });

  it('drops what comes of an interrupted response, but counts it to the text', () => {
    const item = items.get('a', 'r1');
    items.audio(item, audio(100));
    items.interrupt('r1');
    items.audio(item, audio(40));
    items.finish([item]);
    expect(item).toMatchObject({ receivedMs: 100, droppedMs: 40 });
    expect(heard.filter((one) => 'kind' in one && one.kind === 'delta')).toHaveLength(1);
    expect(heard.at(-1)).toMatchObject({ type: 'assistant_text', audioMs: 140 });
  });

  it('keeps an interrupted response open to interruption until its items are cut', () => {
    const item = items.get('a', 'r1', true);
    items.audio(item, audio(100));
    items.interrupt('r1');
    expect(items.open()).toEqual([{ itemId: 'a', receivedMs: 100, isProtected: true }]);
    items.cut(item);
    expect(items.open()).toEqual([]);
    expect(items.isInterrupted('r1')).toBe(true);
  });

  it('does not ask about items without audio', () => {
    items.get('a', 'r1');
    expect(items.open()).toEqual([]);
  });

  it('forgets what was heard once nothing more comes of it, and keeps what is still coming', () => {
    const [whole, coming] = [items.get('a', 'r1'), items.get('b', 'r1')];
    for (const item of [whole, coming]) items.audio(item, audio(100));
    items.finish([whole]);
    items.heard(['a', 'b']);
    expect(items.find('a')).toBeUndefined();
    expect(items.find('b')).toBe(coming);
    expect(items.unfinished()).toEqual([coming]);
    items.cut(coming);
    items.finish([coming]);
    expect(items.find('b')).toBeUndefined();
  });

  it('marks what a new connection knows as text only', () => {
    const item = items.get('a', 'r1');
    items.interrupt('r1');
    items.retold();
    expect(item.isRetold).toBe(true);
    expect(items.isInterrupted('r1')).toBe(false);
  });

  it('passes what has been added to the text on with the audio', () => {
    const item = items.get('a', 'r1');
    item.text = 'Good ';
    items.audio(item, audio(100));
    items.audio(item, audio(100));
    item.text += 'morning';
    items.audio(item, audio(100));
    expect(heard.map((event) => (event as { text?: string }).text)).toEqual(['Good ', undefined, 'morning']);
  });

  it('takes over what an earlier session said, to be asked about and told again', () => {
    items.takeOver([{ itemId: 'a', text: 'Hello', audioMs: 900 }]);
    expect(items.open()).toEqual([{ itemId: 'a', receivedMs: 900, isProtected: false }]);
    expect(items.unfinished()).toEqual([]);
    expect(items.find('a')).toMatchObject({ text: 'Hello', isRetold: true });
    items.heard(['a']);
    expect(items.open()).toEqual([]);
    expect(heard).toEqual([]);
  });

  it('shortens an item to what will be heard of it', () => {
    const item = items.get('a', 'r1');
    items.audio(item, audio(100));
    items.shorten(item, 70);
    items.shorten(item, 90);
    expect(item).toMatchObject({ receivedMs: 70, droppedMs: 30 });
  });

  it('holds nothing of what is over, however long the call', () => {
    const ids: string[] = [];
    for (let index = 0; index < 400; index++) {
      const item = items.get(`item-${index}`, `response-${index}`);
      ids.push(item.itemId);
      // Every seventh is text alone, every fifth is interrupted; the others are heard.
      if (index % 7 !== 0) items.audio(item, audio(100));
      if (index % 5 === 0) items.cut(item);
      items.finish([item]);
      items.heard(items.open().map(({ itemId }) => itemId));
    }
    expect(ids.filter((itemId) => items.find(itemId))).toEqual([]);
    expect(ids.filter((_, index) => items.isInterrupted(`response-${index}`)).length).toBeLessThan(40);
    expect(items.isInterrupted('response-395')).toBe(true);
  });
});
