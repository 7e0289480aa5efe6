import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bill } from '../../src/costs/bill.ts';
import { Prices } from '../../src/costs/prices.ts';
import { DEFAULT_TRANSCRIPTION_MODEL } from '../../src/upstream/models.ts';
import { NO_TOKENS } from '../../src/upstream/usage.ts';

const million = (type: keyof typeof NO_TOKENS) => ({ tokens: { ...NO_TOKENS, [type]: 1_000_000 }, seconds: 0 });

describe('the prices that ship', () => {
  const prices = Prices.open(undefined);

  it('are of a day, and have the models that are used by default', () => {
    expect(prices.asOf).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    for (const model of ['gpt-realtime-2.1', DEFAULT_TRANSCRIPTION_MODEL]) expect(prices.has(model), model).toBe(true);
  });

  it('are for a million tokens of a kind, or for a minute', () => {
    expect(prices.cost('gpt-realtime-2.1', million('input_audio'))).toBe(32);
    expect(prices.cost('gpt-realtime-2.1', million('cached_audio'))).toBe(0.4);
    expect(prices.cost('gpt-realtime-2.1', million('output_audio'))).toBe(64);
    expect(prices.cost('gpt-realtime-mini-2025-12-15', million('output_text'))).toBe(2.4);
    expect(prices.cost('whisper-1', { tokens: NO_TOKENS, seconds: 90 })).toBeCloseTo(0.009, 10);
    // 600 tokens of a caller's audio are a minute.
    const minute = { tokens: { ...NO_TOKENS, input_audio: 600 }, seconds: 0 };
    expect(prices.cost('gpt-transcribe', minute)).toBeCloseTo(0.0045, 10);
    expect(prices.cost('my-deployment', minute)).toBeUndefined();
  });
});

describe('prices of the operator', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'prices-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function open(content: unknown): Prices {
    const path = join(folder, 'prices.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return Prices.open(path);
  }

  const LIST = { asOf: '2026-01-01', currency: 'EUR', models: { 'my-deployment': { output_audio: 70 } } };

  it('take the place of those that ship', () => {
    const prices = open(LIST);
    expect(prices).toMatchObject({ asOf: '2026-01-01', currency: 'EUR' });
    expect(prices.cost('my-deployment', million('output_audio'))).toBe(70);
    expect(prices.cost('my-deployment', million('input_text'))).toBe(0);
    expect(prices.has('gpt-realtime-2.1')).toBe(false);
  });

  it.each([
    ['no JSON', '{', /cannot be read as JSON/],
    ['a negative price', { ...LIST, models: { m: { input_text: -1 } } }, /models\.m\.input_text/],
    ['an unknown kind', { ...LIST, models: { m: { video: 1 } } }, /models\.m/],
    ['no day', { ...LIST, asOf: 'today' }, /asOf/],
    ['no currency', { ...LIST, currency: undefined }, /currency/],
  ])('with %s are refused with a sentence', (_what, content, sentence) => {
    expect(() => open(content)).toThrow(/^PRICES_FILE is /);
    expect(() => open(content)).toThrow(sentence);
  });

  it('make a bill: without the cost where a model that was used has none', () => {
    const bill = new Bill(open(LIST));
    expect(bill.cost).toBe(0);
    bill.add('my-deployment', million('output_audio'));
    bill.add('my-deployment', { tokens: { ...NO_TOKENS, output_audio: 1 }, seconds: 0 });
    bill.add('unheard-of', { tokens: NO_TOKENS, seconds: 0 });
    expect(bill.cost).toBe(70.00007);
    bill.add('unheard-of', { tokens: NO_TOKENS, seconds: 1.5 });
    expect(bill.cost).toBeUndefined();
    expect(bill.tokens).toEqual({ ...NO_TOKENS, output_audio: 1_000_001 });
    expect(bill.models).toEqual([
      { model: 'my-deployment', tokens: { ...NO_TOKENS, output_audio: 1_000_001 }, seconds: 0, cost: 70.00007 },
      { model: 'unheard-of', tokens: NO_TOKENS, seconds: 1.5 },
    ]);
  });
});
