import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { transform } from '../../src/audio/fft.ts';
import { bestCorrelation, rmsDbfs } from '../../src/audio/level.ts';
import { noise, tone } from '../support/tones.ts';

test('levels in dBFS', () => {
  expect(rmsDbfs(new Int16Array(100).fill(-32768))).toBe(0);
  expect(rmsDbfs(new Int16Array(100).fill(3277))).toBeCloseTo(-20, 2);
  expect(rmsDbfs(tone(1000, 16000, 16000, 32767))).toBeCloseTo(-3.01, 2);
  expect(rmsDbfs(new Int16Array(100))).toBe(Number.NEGATIVE_INFINITY);
  expect(rmsDbfs(new Int16Array(0))).toBe(Number.NEGATIVE_INFINITY);
});

describe('the best correlation', () => {
  const speech = noise(20_000, 10_000);

  test('finds a quieter, noisy copy that is late or early', () => {
    for (const lag of [0, 1, 777, 4000, -1, -4000]) {
      const hiss = noise(30_000, 500, 7);
      const signal = hiss.map((value, i) => value + Math.round((speech[i - lag] ?? 0) / 4));
      const found = bestCorrelation(speech, signal, 5000);
      expect(found.lag).toBe(lag);
      expect(found.coefficient).toBeGreaterThan(0.95);
      expect(found.coefficient).toBeLessThan(1);
    }
  });

  test('finds a short reference in a long signal, and a short signal in a long reference', () => {
    const part = speech.slice(9000, 11_000);
    expect(bestCorrelation(part, speech, 20_000)).toEqual({ lag: 9000, coefficient: expect.closeTo(1, 9) });
    expect(bestCorrelation(speech, part, 20_000)).toEqual({ lag: -9000, coefficient: expect.closeTo(1, 9) });
  });

  test('looks no further than it is told', () => {
    const late = new Int16Array(30_000);
    late.set(speech, 3000);
    expect(bestCorrelation(speech, late, 2999).coefficient).toBeLessThan(0.1);
    expect(bestCorrelation(speech, late, 3000).lag).toBe(3000);
  });

  test('strangers and silence are not alike', () => {
    expect(bestCorrelation(speech, noise(20_000, 10_000, 99), 5000).coefficient).toBeLessThan(0.1);
    expect(bestCorrelation(speech, new Int16Array(20_000), 5000)).toEqual({ lag: 0, coefficient: 0 });
    expect(bestCorrelation(speech, new Int16Array(0), 5000)).toEqual({ lag: 0, coefficient: 0 });
  });

  test('equals the sum over the overlap, worked out directly', () => {
    const samples = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(samples, samples, fc.nat(40), (a, b, maxLag) => {
        const found = bestCorrelation(Float32Array.from(a), Int16Array.from(b), maxLag);
        let best = 0;
        for (let lag = -maxLag; lag <= maxLag; lag++) {
          let product = 0;
          let energyA = 0;
          let energyB = 0;
          let overlap = 0;
          for (let i = 0; i < a.length; i++) {
            if (b[i + lag] === undefined) continue;
            overlap++;
            product += a[i]! * b[i + lag]!;
            energyA += a[i]! ** 2;
            energyB += b[i + lag]! ** 2;
          }
          if (overlap * 2 < Math.min(a.length, b.length) || energyA * energyB === 0) continue;
          best = Math.max(best, product / Math.sqrt(energyA * energyB));
        }
        expect(found.coefficient).toBeCloseTo(best, 6);
      }),
    );
  });
});

test('the Fourier transform is the sum it stands for', () => {
  const size = 32;
  const re = Float64Array.from(noise(size, 100, 3));
  const im = Float64Array.from(noise(size, 100, 4));
  const outRe = re.slice();
  const outIm = im.slice();
  transform(outRe, outIm);
  for (let k = 0; k < size; k++) {
    let sumRe = 0;
    let sumIm = 0;
    for (let n = 0; n < size; n++) {
      const angle = (-2 * Math.PI * k * n) / size;
      sumRe += re[n]! * Math.cos(angle) - im[n]! * Math.sin(angle);
      sumIm += re[n]! * Math.sin(angle) + im[n]! * Math.cos(angle);
    }
    expect(outRe[k]).toBeCloseTo(sumRe, 8);
    expect(outIm[k]).toBeCloseTo(sumIm, 8);
  }
  expect(() => transform(new Float64Array(12), new Float64Array(12))).toThrow(RangeError);
});
