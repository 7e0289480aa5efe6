import { describe, expect, it } from 'vitest';
import { AnswerOrder } from '../../loadtest/answer-order.ts';

const ENTRY = 4;

/** The audio of the entries from `first` to `last`, each made of its number. */
function audio(first: number, last: number): Buffer {
  return Buffer.concat(Array.from({ length: last - first + 1 }, (_, i) => Buffer.alloc(ENTRY, first + i)));
}

function numbers(parts: readonly Buffer[]): number[] {
  return [...Buffer.concat([...parts])].filter((_, i) => i % ENTRY === 0);
}

describe('answers that overlap', () => {
  it('are heard once where they were told again', () => {
    const order = new AnswerOrder({ entryBytes: ENTRY, isAudioOnly: true });
    expect(numbers(order.take(-1, 2, audio(0, 2)))).toEqual([0, 1, 2]);
    // Asked before the answer above had come.
    expect(numbers(order.take(-1, 4, audio(0, 4)))).toEqual([3, 4]);
    expect(numbers(order.take(-1, 1, audio(0, 1)))).toEqual([]);
    expect(order.seq).toBe(4);
    expect(numbers(order.take(4, 4, Buffer.alloc(0)))).toEqual([]);
    expect(numbers(order.take(4, 5, audio(5, 5)))).toEqual([5]);
  });

  it('count what is no audio where it is acknowledged', () => {
    const order = new AnswerOrder({ entryBytes: ENTRY, isAudioOnly: false });
    // A line of the transcript between two pieces.
    expect(numbers(order.take(-1, 2, Buffer.concat([audio(0, 0), audio(2, 2)])))).toEqual([0, 2]);
    expect(numbers(order.take(-1, 3, Buffer.concat([audio(0, 0), audio(2, 3)])))).toEqual([3]);
  });

  it('are put in order without acknowledgements', () => {
    const order = new AnswerOrder({ entryBytes: ENTRY, isAudioOnly: true });
    expect(numbers(order.take(undefined, 0, audio(0, 0)))).toEqual([0]);
    expect(numbers(order.take(undefined, 4, audio(3, 4)))).toEqual([]);
    // One without entries repeats a number.
    expect(numbers(order.take(undefined, 4, Buffer.alloc(0)))).toEqual([]);
    expect(numbers(order.take(undefined, 2, audio(1, 2)))).toEqual([1, 2, 3, 4]);
  });

  it('go on when one before them does not come any more', () => {
    const order = new AnswerOrder({ entryBytes: ENTRY, isAudioOnly: true });
    const heard: number[] = [];
    for (let seq = 1; seq < 40; seq++) heard.push(...numbers(order.take(undefined, seq, audio(seq, seq))));
    expect(heard).toEqual(Array.from({ length: 39 }, (_, i) => i + 1));
  });
});
