import { describe, expect, it } from 'vitest';
import { parseCount, parseDurationMs, parseList, parseRampPerSecond, parseWorkers } from '../../loadtest/parse.ts';

describe('durations', () => {
  it.each([
    ['250ms', 250],
    ['60s', 60_000],
    ['1.5m', 90_000],
    ['30min', 1_800_000],
    ['2h', 7_200_000],
    ['45', 45_000],
    [' 5s ', 5_000],
  ])('reads %s', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(['', '0s', '-5s', '5 s', 'soon', '5d', '1e3s', 's'])('refuses %j and says what to write', (text) => {
    expect(() => parseDurationMs(text)).toThrow(`"${text}" is not a duration: write 500ms, 60s, 30m or 2h`);
  });
});

describe('ramps', () => {
  it.each([
    ['10/s', 10],
    ['30/m', 0.5],
    ['2.5', 2.5],
  ])('reads %s', (text, rate) => {
    expect(parseRampPerSecond(text)).toBe(rate);
  });

  it.each(['', '0/s', '10/h', '/s', '-1'])('refuses %j', (text) => {
    expect(() => parseRampPerSecond(text)).toThrow(RangeError);
  });
});

describe('counts, workers and lists', () => {
  it('takes whole numbers from the minimum up', () => {
    expect(parseCount('3')).toBe(3);
    expect(parseCount('0', 0)).toBe(0);
    for (const text of ['', '0', '1.5', 'two', '-1']) expect(() => parseCount(text)).toThrow(RangeError);
  });

  it('knows dedicated workers from shared ones', () => {
    expect(parseWorkers('dedicated')).toBe('dedicated');
    expect(parseWorkers('2')).toBe(2);
    expect(() => parseWorkers('none')).toThrow(RangeError);
  });

  it('splits at commas', () => {
    expect(parseList('10, 50,,100', (part) => parseCount(part))).toEqual([10, 50, 100]);
  });
});
