import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileKernel, KERNEL_MODULE_URL, renderKernelModule } from '../../scripts/build-wasm.ts';
import { polyphaseBank } from '../../src/audio/filter.ts';
import { convolve, MAX_BLOCK } from '../../src/audio/kernel.ts';
import { TAP_BITS } from '../../src/audio/prototypes.ts';
import { createResamplerState, flushResampler, resample } from '../../src/audio/resampler.ts';
import { SAMPLE_RATES_HZ } from '../../src/audio/sample-rates.ts';
import { PlainResampler } from '../support/plain-resampler.ts';
import { joinSamples, noise } from '../support/tones.ts';

const PAIRS = SAMPLE_RATES_HZ.flatMap((fromHz) =>
  SAMPLE_RATES_HZ.filter((toHz) => toHz !== fromHz).map((toHz) => ({ fromHz, toHz })),
);

/** Round half up and saturate, in whole numbers. */
function roundedTap(sum: bigint): number {
  const rounded = Number((sum + (1n << BigInt(TAP_BITS - 1))) >> BigInt(TAP_BITS));
  return Math.min(32_767, Math.max(-32_768, rounded));
}

test('the committed kernel is what its source compiles to', async () => {
  expect(readFileSync(KERNEL_MODULE_URL, 'utf8')).toBe(renderKernelModule(await compileKernel()));
});

describe.each(PAIRS)('$fromHz Hz to $toHz Hz', ({ fromHz, toHz }) => {
  const bank = polyphaseBank(fromHz, toHz);
  const { phases, step, taps, coefficients } = bank;

  /** One output sample of a phase from a window that is given whole. */
  function outputOf(phase: number, window: Int16Array): number {
    // Phase p comes first where the newest input sample is the first of the block, p ticks before its own.
    return convolve(bank, window.slice(0, -1), window.slice(-1), phase, 1)[0]!;
  }

  function exactOutputOf(phase: number, window: Int16Array): number {
    let sum = 0n;
    for (let i = 0; i < taps; i++) sum += BigInt(coefficients[phase * taps + i]!) * BigInt(window[i]!);
    return roundedTap(sum);
  }

  test('is the exact sum, rounded and saturated, for whatever is the worst input of a phase', () => {
    // The input that drives every partial sum to its end is the one whose signs are those of the taps, or of a part.
    const coarse = (tap: number) => (tap + 1024) >> 11;
    const fine = (tap: number) => tap - (coarse(tap) << 11);
    for (let phase = 0; phase < phases; phase++) {
      const phaseTaps = Array.from(coefficients.subarray(phase * taps, (phase + 1) * taps));
      for (const part of [(tap: number) => tap, coarse, fine]) {
        for (const [positive, negative] of [
          [-32_768, 32_767],
          [32_767, -32_768],
          [-32_768, 0],
          [0, -32_768],
          [4096, -4096],
          [-4096, 4096],
        ] as const) {
          const window = Int16Array.from(phaseTaps, (tap) => (part(tap) >= 0 ? positive : negative));
          expect(outputOf(phase, window)).toBe(exactOutputOf(phase, window));
        }
      }
    }
  });

  test('is the exact sum, rounded, for any other input', () => {
    const sums = new Set<number>();
    for (let seed = 1; seed <= 400; seed++) {
      const phase = seed % phases;
      const window = noise(taps, 300, seed);
      const exact = exactOutputOf(phase, window);
      expect(outputOf(phase, window)).toBe(exact);
      sums.add(exact);
    }
    expect(sums.size).toBeGreaterThan(100);
  });

  test('agrees with its plain twin bit for bit, on chunks of any length', () => {
    const length = fc.oneof(fc.nat(8), fc.nat(300), fc.nat(2 * MAX_BLOCK));
    fc.assert(
      fc.property(fc.array(length, { maxLength: 5 }), fc.nat(), fc.nat(32_767), (lengths, seed, amplitude) => {
        const state = createResamplerState(fromHz, toHz);
        const plain = new PlainResampler(fromHz, toHz);
        lengths.forEach((n, i) => {
          const chunk = noise(n, amplitude, seed + i);
          expect(resample(state, chunk)).toEqual(plain.push(chunk));
        });
        expect(flushResampler(state)).toEqual(plain.flush());
      }),
      { numRuns: 30 },
    );
  });

  test('moves the history on by a block, shorter or longer than itself', () => {
    for (const n of [0, 1, taps - 2, taps - 1, taps, MAX_BLOCK]) {
      const history = noise(taps - 1, 32_767, 1);
      const block = noise(n, 32_767, 2);
      const expected = joinSamples([history, block]).subarray(n);
      convolve(bank, history, block, 0, 0);
      expect(history).toEqual(expected);
    }
  });

  test('hands out samples in memory of their own', () => {
    const output = convolve(bank, new Int16Array(taps - 1), noise(step, 1000), 0, phases);
    expect(output).toHaveLength(phases);
    expect(output.buffer.byteLength).toBe(2 * phases);
    const before = output.slice();
    convolve(bank, new Int16Array(taps - 1), noise(step, 1000, 2), 0, phases);
    expect(output).toEqual(before);
  });
});
