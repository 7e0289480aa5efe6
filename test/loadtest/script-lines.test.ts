import { describe, expect, it } from 'vitest';
import { checkLines, expectedLines } from '../../loadtest/script-lines.ts';

const all = expectedLines(new URL('../../fixtures/', import.meta.url));
const order = all.get('order-status-16k')!;
const interrupter = all.get('interrupter-16k')!;

const GOOD = [
  '[AI]: Good morning, this is customer care. How can I help you?',
  '[User]: Hello, where is my order four seven one one?',
  '[AI]: Order four seven one one left our warehouse yesterday.',
  '[User]: And when will it arrive?',
  '[AI]: It should arrive on Thursday, between ten and noon.',
  '[User]: Perfect, thank you. Goodbye.',
  '[AI]: Thank you for calling. Goodbye.',
];

describe('the lines of a call', () => {
  it('come from the manifest and the script', () => {
    expect(order.user).toHaveLength(3);
    expect(order.agent[0]).toBe('Good morning, this is customer care. How can I help you?');
    expect(order.agent).toHaveLength(4);
  });

  it('are right when all were said, however the two sides mix', () => {
    expect(checkLines(GOOD, order, all.values())).toEqual({ missing: [], foreign: [], unknown: [] });
    const late = [
      ...GOOD.filter((line) => line.startsWith('[AI]')),
      ...GOOD.filter((line) => line.startsWith('[User]')),
    ];
    expect(checkLines(late, order, all.values())).toEqual({ missing: [], foreign: [], unknown: [] });
  });

  it('may be joined, and prompts may come at any time', () => {
    const invoice = all.get('invoice-48k-stereo')!;
    const lines = [
      '[AI]: Good morning, this is customer care. How can I help you?',
      '[User]: Can you send me the invoice?',
      '[AI]: Hello, are you still there? I am listening.',
      '[AI]: One moment please, let me look that up. I have sent the invoice to your email address.',
    ];
    expect(checkLines(lines, invoice, all.values())).toEqual({ missing: [], foreign: [], unknown: [] });
  });

  it('may be cut short by an interruption', () => {
    const lines = [
      '[AI]: Good morning, this is customer care. How can I help you?',
      '[User]: I need to return my shoes.',
      '[AI]: You can return anything within',
      '[User]: Wait, wait, stop. I just want to speak to a person.',
      '[AI]: One moment please, I am putting you through to a colleague.',
    ];
    expect(checkLines(lines, interrupter, all.values())).toEqual({ missing: [], foreign: [], unknown: [] });
  });

  it('miss what was never said', () => {
    const { missing } = checkLines(GOOD.slice(0, 5), order, all.values());
    expect(missing).toEqual(['perfect thank you goodbye', 'thank you for calling goodbye']);
  });

  it("give away another call's lines", () => {
    const foreign = '[AI]: On Saturday we are open from ten to two.';
    expect(checkLines([...GOOD, foreign], order, all.values())).toEqual({
      missing: [],
      foreign: [foreign],
      unknown: [],
    });
    const theirs = '[User]: Are you open on Saturday?';
    expect(checkLines([...GOOD, theirs], order, all.values()).foreign).toEqual([theirs]);
  });

  it('give away what nobody was to say, and what was said twice', () => {
    const nonsense = '[AI]: Sorry, what?';
    expect(checkLines([...GOOD, nonsense], order, all.values()).unknown).toEqual([nonsense]);
    expect(checkLines([...GOOD, GOOD[2]!], order, all.values()).foreign).toEqual([GOOD[2]]);
  });
});
