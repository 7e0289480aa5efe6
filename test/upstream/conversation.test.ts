import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Conversation, cutToHeard, isUnanswered, type ReplayItem } from '../../src/upstream/conversation.ts';

describe('Conversation', () => {
  it('keeps the order of its items, whenever their texts come', () => {
    const conversation = new Conversation();
    conversation.add('u1', null, 'user');
    conversation.add('a1', 'u1', 'assistant');
    conversation.add('u2', 'a1', 'user');
    conversation.add('a2', 'u2', 'assistant');
    conversation.setText('a2', 'assistant', 'second answer');
    conversation.setText('u2', 'user', 'second question');
    conversation.setText('a1', 'assistant', 'first answer');
    conversation.setText('u1', 'user', null);
    expect(conversation.lines()).toEqual([
      '[User]: (unintelligible)',
      '[AI]: first answer',
      '[User]: second question',
      '[AI]: second answer',
    ]);
  });

  it('puts an item behind the one it names, and at the end when that is unknown', () => {
    const conversation = new Conversation();
    for (const [itemId, previous] of [
      ['a', null],
      ['b', 'a'],
      ['c', 'a'],
      ['d', 'nobody'],
      ['a', 'd'],
    ] as const) {
      conversation.add(itemId, previous, 'user');
      conversation.setText(itemId, 'user', itemId);
    }
    expect(conversation.lines()).toEqual(['[User]: a', '[User]: c', '[User]: b', '[User]: d']);
  });

  it('leaves out what has no words, and turns that are not transcribed yet', () => {
    const conversation = new Conversation();
    conversation.setText('u1', 'user', '');
    conversation.add('u2', 'u1', 'user');
    conversation.setText('a1', 'assistant', '');
    expect(conversation.lines()).toEqual([]);
    expect(conversation.untranscribed()).toEqual(['u2']);
    // The model is told that somebody spoke, but not that there was noise.
    expect(conversation.replay()).toEqual([{ kind: 'message', itemId: 'u2', role: 'user', text: '(unintelligible)' }]);
  });

  it('tells tool calls in their place, with their results where they are in', () => {
    const conversation = new Conversation();
    conversation.setText('u1', 'user', 'where is it');
    conversation.setToolCall('f1', 'call_1', 'lookup', '{"n":1}');
    conversation.setToolCall('f2', 'call_2', 'lookup', '{"n":2}');
    conversation.setToolOutput('call_2', '{"ok":true}');
    conversation.setToolOutput('call_9', 'nobody asked');
    expect(conversation.replay().slice(1)).toEqual([
      { kind: 'tool', itemId: 'f1', toolCallId: 'call_1', name: 'lookup', arguments: '{"n":1}' },
      { kind: 'tool', itemId: 'f2', toolCallId: 'call_2', name: 'lookup', arguments: '{"n":2}', output: '{"ok":true}' },
    ]);
    expect(conversation.lines()).toEqual(['[User]: where is it']);
  });

  it('forgets a removed item', () => {
    const conversation = new Conversation();
    conversation.setText('u1', 'user', 'cough');
    conversation.remove('u1');
    conversation.remove('u1');
    expect(conversation.has('u1')).toBe(false);
    expect(conversation.lines()).toEqual([]);
  });

  it('finds a renamed item under both names, where it was', () => {
    const conversation = new Conversation();
    conversation.setText('a1', 'assistant', 'all of it');
    conversation.setText('u1', 'user', 'stop');
    conversation.rename('a1', 'a1_heard');
    conversation.rename('nobody', 'somebody');
    conversation.setText('a1', 'assistant', 'part of it');
    conversation.add('u0', 'a1_heard', 'user');
    conversation.setText('u0', 'user', 'wait');
    expect(conversation.lines()).toEqual(['[AI]: part of it', '[User]: wait', '[User]: stop']);
    expect(conversation.replay()[0]).toMatchObject({ itemId: 'a1_heard', text: 'part of it' });
  });
});

describe('cutToHeard', () => {
  it.each([
    ['one two three', 0, 1000, ''],
    ['one two three', -5, 1000, ''],
    ['one two three', 1000, 1000, 'one two three'],
    ['one two three', 2000, 1000, 'one two three'],
    ['one two three', 100, 0, ''],
    // In the middle of the first word, of the second, right behind it, and of the third.
    ['one two three', 100, 1000, ''],
    ['one two three', 450, 1000, 'one'],
    ['one two three', 540, 1000, 'one two'],
    ['one two three', 900, 1000, 'one two'],
    ['one\ntwo three', 450, 1000, 'one'],
    // Languages without blanks are cut between characters, and those never in half.
    ['今日はいい天気ですね', 500, 1000, '今日はいい'],
    ['𠮷𠮷𠮷𠮷', 400, 1000, '𠮷'],
    ['Goodbye.', 500, 1000, ''],
  ])('cuts %j heard for %d of %d ms to %j', (text, heardMs, totalMs, expected) => {
    expect(cutToHeard(text, heardMs, totalMs)).toBe(expected);
  });

  it('never invents, never takes back, and never splits a word', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), (list, one, two) => {
        const text = list.join(' ');
        const [less, more] = [Math.min(one, two), Math.max(one, two)];
        const short = cutToHeard(text, less, 10_000);
        const long = cutToHeard(text, more, 10_000);
        expect(long.startsWith(short)).toBe(true);
        expect(text.startsWith(long)).toBe(true);
        expect([...list.keys()].map((count) => list.slice(0, count).join(' ')).concat(text)).toContain(long);
        // No more than its share was heard.
        expect(long.length).toBeLessThanOrEqual((text.length * more) / 10_000 + 1);
      }),
    );
  });
});

describe('a conversation that goes on elsewhere', () => {
  const tool = { kind: 'tool', itemId: 'i', toolCallId: 'c', name: 'look', arguments: '{}' } as const;
  const message = (role: 'user' | 'assistant'): ReplayItem => ({ kind: 'message', itemId: role, role, text: 'Yes.' });

  it('knows whether it ends with something that waits for an answer', () => {
    expect(isUnanswered([])).toBe(false);
    expect(isUnanswered([message('user')])).toBe(true);
    expect(isUnanswered([message('user'), message('assistant')])).toBe(false);
    expect(isUnanswered([message('user'), { ...tool, output: '{}' }])).toBe(true);
    // A call without a result is answered when that is there.
    expect(isUnanswered([message('user'), tool])).toBe(false);
  });
});
