import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { polyphaseBank, prototypeFilter } from '../../src/audio/filter.ts';
import { MAX_BLOCK } from '../../src/audio/kernel.ts';
import { bytesFromPcm16 } from '../../src/audio/pcm16.ts';
import { createResamplerState, flushResampler, resample, warmUpResamplers } from '../../src/audio/resampler.ts';
import { SAMPLE_RATES_HZ, type SampleRateHz } from '../../src/audio/sample-rates.ts';
import { gainAt, referenceResample } from '../support/reference-resampler.ts';
import { fitTone, sinadDb } from '../support/sinad.ts';
import { joinSamples, noise, tone } from '../support/tones.ts';

const PAIRS = SAMPLE_RATES_HZ.flatMap((fromHz) =>
  SAMPLE_RATES_HZ.filter((toHz) => toHz !== fromHz).map((toHz) => ({ fromHz, toHz })),
);

function resampleWhole(fromHz: SampleRateHz, toHz: SampleRateHz, input: Int16Array): Int16Array {
  const state = createResamplerState(fromHz, toHz);
  return joinSamples([resample(state, input), flushResampler(state)]);
}

/** Without the 10 ms at either end, where the filter sees the edges of the signal. */
function middle(samples: Int16Array, rateHz: number): Int16Array {
  return samples.subarray(rateHz / 100, -rateHz / 100);
}

const decibels = (ratio: number) => 20 * Math.log10(Math.abs(ratio));

describe.each([2, 3, 6])('the prototype for a ratio of %i, before rounding', (ratio) => {
  const impulse = prototypeFilter(ratio);
  const lowerNyquist = 1 / (2 * ratio);
  const steps = 20_000;
  const sweep = (from: number, to: number) =>
    Array.from({ length: steps + 1 }, (_, i) => decibels(gainAt(impulse, from + ((to - from) * i) / steps)));

  test('passes within 0.03 dB up to 0.9 of the lower Nyquist frequency', () => {
    const gains = sweep(0, 0.9 * lowerNyquist);
    expect(Math.max(...gains)).toBeLessThan(0.03);
    expect(Math.min(...gains)).toBeGreaterThan(-0.03);
  });

  test('stops below −108 dB from 1.1 of the lower Nyquist frequency', () => {
    expect(Math.max(...sweep(1.1 * lowerNyquist, 0.5))).toBeLessThan(-108);
  });

  test('falls all the way in between', () => {
    const gains = sweep(0.9 * lowerNyquist, 1.1 * lowerNyquist);
    for (let i = 1; i < gains.length; i++) {
      if (gains[i]! > -100) expect(gains[i]!).toBeLessThan(gains[i - 1]! + 1e-3);
    }
  });

  test('is symmetric with a gain of 1 at 0 Hz', () => {
    expect(impulse).toEqual(impulse.toReversed());
    expect(impulse.reduce((sum, tap) => sum + tap, 0)).toBeCloseTo(1, 12);
  });
});

describe.each(PAIRS)('$fromHz Hz to $toHz Hz', ({ fromHz, toHz }) => {
  const lowerNyquistHz = Math.min(fromHz, toHz) / 2;
  const amplitude = 32_000;

  test('is the defining sum, rounded', () => {
    const input = noise(1000, 20_000);
    const output = resampleWhole(fromHz, toHz, input);
    const reference = referenceResample(input, fromHz, toHz);
    expect(output.length).toBe(reference.length);
    for (let i = 0; i < output.length; i++) {
      expect(Math.abs(output[i]! - reference[i]!)).toBeLessThan(0.5 + 1e-6);
    }
  });

  test('passes tones at their level and phase, and adds nothing but rounding', () => {
    for (const part of [0.01, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9]) {
      // Off the round numbers, so that the rounding of successive periods differs.
      const toneHz = part * lowerNyquistHz - 1.7;
      const input = tone(toneHz, fromHz, fromHz / 2, amplitude);
      const output = resampleWhole(fromHz, toHz, input);
      const skipped = toHz / 100;
      const fitted = fitTone(middle(output, toHz), toHz, toneHz);
      expect(Math.abs(decibels(fitted.amplitude / amplitude))).toBeLessThan(0.03);
      const expectedPhase = (2 * Math.PI * toneHz * skipped) / toHz;
      expect(Math.cos(fitted.phase - expectedPhase)).toBeGreaterThan(1 - 1e-8);
      expect(Math.abs(fitted.offset)).toBeLessThan(0.05);
      // The output's own rounding and that of the input make 0.41; an image at −100 dB of the tone would make it 0.47.
      expect(fitted.residualRms).toBeLessThan(0.44);
    }
  });

  test('before rounding: images and aliases together are 100 dB below the tone', () => {
    const fromNyquistHz = fromHz / 2;
    const passed = [0.03, 0.3, 0.6, 0.9].map((part) => part * lowerNyquistHz - 1.7);
    const stopped = [0, 0.2, 0.5, 0.98].map(
      (part) => (1.1 + part * (fromNyquistHz / lowerNyquistHz - 1.1)) * lowerNyquistHz,
    );
    for (const toneHz of toHz > fromHz ? passed : [...passed, ...stopped]) {
      const input = Float64Array.from({ length: fromHz / 20 }, (_, n) => Math.sin((2 * Math.PI * toneHz * n) / fromHz));
      const output = referenceResample(input, fromHz, toHz).subarray(toHz / 100, -toHz / 100);
      const { amplitude, residualRms } = fitTone(output, toHz, toneHz);
      if (toneHz < lowerNyquistHz) {
        expect(Math.abs(decibels(amplitude))).toBeLessThan(0.03);
        expect(decibels(residualRms * Math.SQRT2)).toBeLessThan(-100);
      } else {
        expect(decibels(Math.max(...output.map(Math.abs)))).toBeLessThan(-100);
      }
    }
  });

  test('has a SINAD of 94 dB at 1 kHz', () => {
    const output = resampleWhole(fromHz, toHz, tone(1000.3, fromHz, fromHz, amplitude));
    expect(sinadDb(middle(output, toHz), toHz, 1000.3)).toBeGreaterThan(94);
  });

  if (toHz < fromHz) {
    test('lets nothing through that the output cannot hold', () => {
      const fromNyquistHz = fromHz / 2;
      for (const part of [0, 0.1, 0.3, 0.5, 0.7, 0.99]) {
        const toneHz = 1.1 * lowerNyquistHz + part * (fromNyquistHz - 1.1 * lowerNyquistHz) + 1.7;
        const output = middle(resampleWhole(fromHz, toHz, tone(toneHz, fromHz, fromHz / 4, amplitude)), toHz);
        // −100 dB of the tone is a third of a sample value, but the input's rounding noise in the pass band remains.
        for (const sample of output) expect(Math.abs(sample)).toBeLessThanOrEqual(2);
        expect(fitTone(output, toHz, toneHz).amplitude).toBeLessThan(0.32);
      }
    });
  }

  test('keeps a constant exactly', () => {
    for (const level of [1, -1, 12_345, 32_767, -32_768]) {
      const output = middle(resampleWhole(fromHz, toHz, new Int16Array(fromHz / 10).fill(level)), toHz);
      expect(output.every((sample) => sample === level)).toBe(true);
    }
  });

  test('saturates instead of wrapping around', () => {
    const square = Int16Array.from({ length: fromHz / 10 }, (_, i) => (i % 40 < 20 ? 32_767 : -32_768));
    const output = resampleWhole(fromHz, toHz, square);
    const reference = referenceResample(square, fromHz, toHz);
    const clipped = reference.map((value) => Math.min(32_767, Math.max(-32_768, value)));
    expect(reference.filter((value) => value > 33_500).length).toBeGreaterThan(5);
    expect(reference.filter((value) => value < -33_500).length).toBeGreaterThan(5);
    for (let i = 0; i < output.length; i++) expect(Math.abs(output[i]! - clipped[i]!)).toBeLessThan(0.5 + 1e-6);
  });

  test('makes exactly ⌈n × to / from⌉ samples of n', () => {
    const lengths = fc.oneof(fc.nat(400), fc.nat(3 * MAX_BLOCK));
    fc.assert(
      fc.property(lengths, (length) => {
        const output = resampleWhole(fromHz, toHz, new Int16Array(length).fill(1));
        expect(output.length).toBe(Math.ceil((length * toHz) / fromHz));
      }),
    );
  });

  test('gives the same bits however the stream is cut, wherever its state has been', () => {
    const length = fc.oneof(
      fc.constantFrom(0, 1, 2, 3, fromHz * 0.02, fromHz * 0.037, fromHz * 0.1),
      fc.nat(600),
      fc.nat(2 * MAX_BLOCK),
    );
    fc.assert(
      fc.property(fc.array(length, { maxLength: 8 }), fc.nat(), fc.boolean(), (lengths, seed, travels) => {
        const input = noise(
          lengths.reduce((sum, n) => sum + n, 0),
          32_767,
          seed,
        );
        const whole = resampleWhole(fromHz, toHz, input);
        let state = createResamplerState(fromHz, toHz);
        const parts: Int16Array[] = [];
        let at = 0;
        for (const n of lengths) {
          parts.push(resample(state, input.subarray(at, at + n)));
          at += n;
          if (travels) state = structuredClone(state);
        }
        parts.push(flushResampler(state));
        expect(Buffer.compare(bytesFromPcm16(joinSamples(parts)), bytesFromPcm16(whole))).toBe(0);
        expect(state).toEqual(createResamplerState(fromHz, toHz));
      }),
      { numRuns: 60 },
    );
  });

  test('gives the same bits sample by sample', () => {
    const input = noise(700, 32_767, 5);
    const state = createResamplerState(fromHz, toHz);
    const parts = Array.from(input, (sample) => resample(state, Int16Array.of(sample)));
    expect(joinSamples([...parts, flushResampler(state)])).toEqual(resampleWhole(fromHz, toHz, input));
  });

  test('lags no more than 24 samples of the lower rate', () => {
    const state = createResamplerState(fromHz, toHz);
    const made = resample(state, new Int16Array(fromHz / 10)).length;
    const withheldSeconds = 0.1 - made / toHz;
    expect(withheldSeconds).toBeGreaterThan(0);
    expect(withheldSeconds).toBeLessThanOrEqual(24 / Math.min(fromHz, toHz) + 1e-9);
  });

  test('the state is small', () => {
    const state = createResamplerState(fromHz, toHz);
    expect(state.history.byteLength).toBeLessThan(600);
    resample(state, noise(MAX_BLOCK + 100, 1000));
    expect(state.history.buffer.byteLength).toBeLessThan(600);
  });

  test('the filter bank is built once', () => {
    expect(polyphaseBank(fromHz, toHz)).toBe(polyphaseBank(fromHz, toHz));
  });
});

test('16 to 24 and back to 16 kHz: a SINAD of 90 dB, in phase', () => {
  const input = tone(1000.3, 16_000, 32_000, 32_000);
  const output = resampleWhole(24_000, 16_000, resampleWhole(16_000, 24_000, input));
  expect(output.length).toBe(input.length);
  expect(sinadDb(middle(output, 16_000), 16_000, 1000.3)).toBeGreaterThan(90);
  const before = fitTone(middle(input, 16_000), 16_000, 1000.3);
  const after = fitTone(middle(output, 16_000), 16_000, 1000.3);
  expect(Math.abs(after.phase - before.phase)).toBeLessThan(1e-4);
  expect(Math.abs(decibels(after.amplitude / before.amplitude))).toBeLessThan(0.06);
});

test('equal rates pass samples through, in memory of their own', () => {
  const state = createResamplerState(16_000, 16_000);
  const input = noise(100, 32_767);
  const output = resample(state, input);
  expect(output).toEqual(input);
  expect(output.buffer).not.toBe(input.buffer);
  expect(flushResampler(state)).toHaveLength(0);
});

test('warming up the thread leaves no trace in a stream', () => {
  const input = noise(3200, 30_000, 3);
  const state = createResamplerState(16_000, 24_000);
  const before = resample(state, input.subarray(0, 1000));
  warmUpResamplers();
  const after = resample(state, input.subarray(1000));
  expect(joinSamples([before, after, flushResampler(state)])).toEqual(resampleWhole(16_000, 24_000, input));
});

test('streams on one thread do not disturb each other', () => {
  const input = noise(4800, 30_000, 11);
  const streams = PAIRS.map((pair) => ({ ...pair, state: createResamplerState(pair.fromHz, pair.toHz) }));
  const parts = streams.map((): Int16Array[] => []);
  for (let at = 0; at < input.length; at += 160) {
    streams.forEach(({ state }, i) => {
      parts[i]!.push(resample(state, input.subarray(at, at + 160)));
    });
  }
  streams.forEach(({ fromHz, toHz, state }, i) => {
    const joined = joinSamples([...parts[i]!, flushResampler(state)]);
    expect(joined).toEqual(resampleWhole(fromHz, toHz, input));
  });
});
