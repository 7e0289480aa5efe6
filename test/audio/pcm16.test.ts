import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesFromPcm16, mixToMono, pcm16FromBytes } from '../../src/audio/pcm16.ts';

describe('reading bytes', () => {
  const bytes = Uint8Array.of(0x01, 0x02, 0xff, 0xff, 0x00, 0x80);

  test('aligned little-endian bytes are viewed, not copied', () => {
    const samples = pcm16FromBytes(bytes);
    expect([...samples]).toEqual([0x0201, -1, -32768]);
    expect(samples.buffer).toBe(bytes.buffer);
  });

  test('misaligned bytes give the same samples', () => {
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(pcm16FromBytes(shifted.subarray(1))).toEqual(pcm16FromBytes(bytes));
  });

  test('big-endian bytes are swapped in a copy', () => {
    for (const offset of [0, 1]) {
      const shifted = new Uint8Array(bytes.length + offset);
      shifted.set(bytes, offset);
      expect([...pcm16FromBytes(shifted.subarray(offset), 'big')]).toEqual([0x0102, -1, 0x0080]);
      expect(shifted.subarray(offset)).toEqual(bytes);
    }
  });

  test('samples survive the way to bytes and back', () => {
    fc.assert(
      fc.property(fc.int16Array({ minLength: 1 }), (samples) => {
        expect(pcm16FromBytes(bytesFromPcm16(samples))).toEqual(samples);
      }),
    );
    const samples = Int16Array.of(1, 2, 3);
    expect(bytesFromPcm16(samples.subarray(1)).buffer).toBe(samples.buffer);
    expect([...bytesFromPcm16(samples.subarray(1))]).toEqual([2, 0, 3, 0]);
  });

  test('no bytes and half a sample are refused', () => {
    expect(() => pcm16FromBytes(new Uint8Array(0))).toThrow(
      expect.objectContaining({ reason: 'empty', message: 'audio has no bytes' }),
    );
    expect(() => pcm16FromBytes(new Uint8Array(321))).toThrow(
      expect.objectContaining({
        reason: 'odd_length',
        message: 'audio has 321 bytes, an odd number; PCM16 samples are two bytes each',
      }),
    );
    expect(() => pcm16FromBytes(new Uint8Array(1), 'big')).toThrow(expect.objectContaining({ reason: 'odd_length' }));
  });
});

describe('mixing to mono', () => {
  test('averages and rounds halves upwards', () => {
    expect([...mixToMono(Int16Array.of(1, 2, -1, -2, 32767, 32767, -32768, -32768, -32768, 32767), 2)]).toEqual([
      2, -1, 32767, -32768, 0,
    ]);
    expect([...mixToMono(Int16Array.of(1, 2, 4, -32768, -32768, -32768), 3)]).toEqual([2, -32768]);
  });

  test('two channels by the general rule', () => {
    fc.assert(
      fc.property(fc.int16Array({ minLength: 2, maxLength: 2 }), (pair) => {
        expect(mixToMono(pair, 2)[0]).toBe(Math.floor((pair[0]! + pair[1]!) / 2 + 0.5));
      }),
    );
  });

  test('one channel passes as it is', () => {
    const samples = Int16Array.of(1, 2, 3);
    expect(mixToMono(samples, 1)).toBe(samples);
  });

  test('samples that are no whole groups are a programming error', () => {
    expect(() => mixToMono(new Int16Array(3), 2)).toThrow(RangeError);
    expect(() => mixToMono(new Int16Array(3), 0)).toThrow(RangeError);
  });
});
