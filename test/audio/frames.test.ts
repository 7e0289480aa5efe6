import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBase64 } from '../../src/audio/base64.ts';
import { type AudioFormat, silenceByte } from '../../src/audio/codec.ts';
import { createFramerState, cutFrames, flushFrames, frameBytes } from '../../src/audio/frames.ts';
import { SAMPLE_RATES_HZ } from '../../src/audio/sample-rates.ts';

const FORMATS: readonly AudioFormat[] = [
  ...SAMPLE_RATES_HZ.map((sampleRateHz) => ({ encoding: 'pcm16', sampleRateHz }) as const),
  { encoding: 'pcmu', sampleRateHz: 8000 },
  { encoding: 'pcma', sampleRateHz: 8000 },
];

describe.each(FORMATS)('$encoding at $sampleRateHz Hz', (format) => {
  const size = frameBytes(format);

  test('frames join in base64', () => {
    expect(size).toBe((format.sampleRateHz * 60 * (format.encoding === 'pcm16' ? 2 : 1)) / 1000);
    expect(size % 3).toBe(0);
    const two = new Uint8Array(2 * size).map((_, i) => i * 13);
    expect(encodeBase64(two.subarray(0, size)) + encodeBase64(two.subarray(size))).toBe(encodeBase64(two));
  });

  test('however the bytes arrive, the frames are theirs in order, padded with silence at the end', () => {
    const lengths = fc.array(fc.oneof(fc.nat(3), fc.nat(3 * size), fc.constant(size)), { maxLength: 8 });
    fc.assert(
      fc.property(lengths, fc.boolean(), (pieces, travels) => {
        const total = pieces.reduce((sum, length) => sum + length, 0);
        const stream = new Uint8Array(total).map((_, i) => i * 31 + (i >> 8));
        let state = createFramerState();
        const out: Uint8Array[] = [];
        let at = 0;
        for (const length of pieces) {
          const piece = stream.slice(at, at + length);
          at += length;
          const { frames, count } = cutFrames(state, piece, format);
          expect(frames.length).toBe(count * size);
          out.push(frames.slice());
          // What is kept must not depend on the piece any more, nor hold on to it.
          piece.fill(0xaa);
          expect(state.remainder.length).toBeLessThan(size);
          expect(state.remainder.buffer.byteLength).toBe(state.remainder.length);
          if (travels) state = structuredClone(state, { transfer: [state.remainder.buffer as ArrayBuffer] });
        }
        const rest = state.remainder.length;
        const tail = flushFrames(state, format);
        out.push(tail.frames);
        expect(tail.count).toBe(rest === 0 ? 0 : 1);
        expect(tail.paddedMs).toBeCloseTo(rest === 0 ? 0 : (60 * (size - rest)) / size, 9);
        expect(tail.paddedMs).toBeLessThan(60);
        const joined = Buffer.concat(out);
        expect(joined.length).toBe(Math.ceil(total / size) * size);
        expect(Buffer.compare(joined.subarray(0, total), stream)).toBe(0);
        expect(joined.subarray(total).every((byte) => byte === silenceByte(format.encoding))).toBe(true);
        expect(state).toEqual(createFramerState());
      }),
      { numRuns: 200 },
    );
  });
});

test('whole frames are not copied, what is left of a Buffer is', () => {
  const format = { encoding: 'pcmu', sampleRateHz: 8000 } as const;
  const state = createFramerState();
  const bytes = Buffer.alloc(480 + 10, 1);
  const { frames, count } = cutFrames(state, bytes, format);
  expect(count).toBe(1);
  expect(frames.buffer).toBe(bytes.buffer);
  bytes.fill(2);
  expect(state.remainder).toEqual(new Uint8Array(10).fill(1));
});
