import { expect, test } from 'vitest';
import { bytesPerMs, silenceByte } from '../../src/audio/codec.ts';
import { pcm16FromALaw, pcm16FromMuLaw } from '../../src/audio/g711.ts';
import { isSampleRateHz, SAMPLE_RATES_HZ } from '../../src/audio/sample-rates.ts';

test('the rates listed are the rates accepted', () => {
  const accepted = Array.from({ length: 200_001 }, (_, n) => n).filter(isSampleRateHz);
  expect(accepted).toEqual([...SAMPLE_RATES_HZ]);
  expect(isSampleRateHz(Number.NaN)).toBe(false);
  expect(isSampleRateHz(16000.5)).toBe(false);
});

test('bytes a millisecond', () => {
  expect(bytesPerMs({ encoding: 'pcm16', sampleRateHz: 16000 })).toBe(32);
  expect(bytesPerMs({ encoding: 'pcm16', sampleRateHz: 48000 })).toBe(96);
  expect(bytesPerMs({ encoding: 'pcmu', sampleRateHz: 8000 })).toBe(8);
  expect(bytesPerMs({ encoding: 'pcma', sampleRateHz: 8000 })).toBe(8);
});

test('the silence byte decodes to the smallest level there is', () => {
  expect(silenceByte('pcm16')).toBe(0);
  expect(pcm16FromMuLaw(Uint8Array.of(silenceByte('pcmu')))[0]).toBe(0);
  // A-law has no zero: its smallest steps are ±8.
  expect(pcm16FromALaw(Uint8Array.of(silenceByte('pcma')))[0]).toBe(8);
});
