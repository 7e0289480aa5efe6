import type { SampleRateHz } from '../../src/audio/sample-rates.ts';
import { fitTone, sinadDb } from '../../test/support/sinad.ts';
import { noise, tone } from '../../test/support/tones.ts';
import type { Contestant } from './contestant.ts';

/** What a conversion does to tones, measured on PCM16 at either end. */
export interface Quality {
  /** Largest deviation from a gain of 1, in decibels, from 60 Hz to 0.9 of the lower Nyquist frequency. */
  readonly rippleDb: number;
  /**
   * Largest image or alias, in decibels of the tone that caused it, where it lies at 1.1 of the lower Nyquist frequency
   * or beyond before it is folded back. What is below some −115 dB is lost in the noise.
   */
  readonly stopBandDb: number;
  /** Tone of 1 kHz against noise and distortion, in decibels. */
  readonly sinadDb: number;
}

const AMPLITUDE = 32_000;
/** A tone's share of the signal. Its first and last quarter are left out: filters settle, and delays differ. */
const SEGMENT_SECONDS = 0.8;
const PASS_TONES = 24;
const STOP_TONES = 16;
const SINAD_TONE_HZ = 1000.3;

/** Runs one long signal of tones through a contestant and measures what comes out. */
export async function measureQuality(
  contestant: Contestant,
  fromHz: SampleRateHz,
  toHz: SampleRateHz,
): Promise<Quality> {
  const lowerNyquistHz = Math.min(fromHz, toHz) / 2;
  const passed = spread(60.7, 0.9 * lowerNyquistHz - 1.618, PASS_TONES);
  const stopped = toHz < fromHz ? spread(1.1 * lowerNyquistHz + 1.618, fromHz / 2 - 41.421, STOP_TONES) : [];
  const tonesHz = [SINAD_TONE_HZ, ...passed, ...stopped];
  const heard = await convertTones(contestant, fromHz, toHz, tonesHz);

  let rippleDb = 0;
  let stopBand = 0;
  for (const [i, toneHz] of tonesHz.entries()) {
    const samples = heard[i]!;
    if (toneHz < lowerNyquistHz) {
      const { amplitude, rest } = splitTone(samples, toHz, toneHz);
      rippleDb = Math.max(rippleDb, Math.abs(decibels(amplitude / AMPLITUDE)));
      stopBand = Math.max(stopBand, largestGhost(rest, fromHz, toHz, toneHz));
    } else {
      stopBand = Math.max(stopBand, largestGhost(samples, fromHz, toHz, toneHz));
    }
  }
  return {
    rippleDb,
    stopBandDb: decibels(stopBand / AMPLITUDE),
    sinadDb: sinadDb(heard[0]!, toHz, SINAD_TONE_HZ),
  };
}

/** The middle half of each tone, as it comes out. The first goes in without dither. */
async function convertTones(
  contestant: Contestant,
  fromHz: SampleRateHz,
  toHz: SampleRateHz,
  tonesHz: readonly number[],
): Promise<Int16Array[]> {
  const segment = fromHz * SEGMENT_SECONDS;
  const chunk = fromHz / 10;
  const chunks: Int16Array[] = [];
  for (const [i, toneHz] of tonesHz.entries()) {
    const samples = i === 0 ? tone(toneHz, fromHz, segment, AMPLITUDE) : ditheredTone(toneHz, fromHz, segment, i);
    for (let at = 0; at < segment; at += chunk) chunks.push(samples.slice(at, at + chunk));
  }
  // Silence enough to push out whatever the contestant holds back.
  for (let i = 0; i < 10; i++) chunks.push(new Int16Array(chunk));
  const conversion = await contestant.open(fromHz, toHz);
  try {
    const output = await conversion.convert(chunks);
    const length = toHz * SEGMENT_SECONDS;
    return tonesHz.map((_, i) => output.subarray((i + 0.25) * length, (i + 0.75) * length));
  } finally {
    await conversion.close();
  }
}

/**
 * A tone with triangular noise of ±2 sample values added before rounding. Without it the rounding at either end makes
 * images of its own, as strong as those of a good filter, and swallows what is smaller than half a sample value.
 */
function ditheredTone(toneHz: number, sampleRateHz: number, count: number, seed: number): Int16Array {
  const one = noise(count, 32_767, seed);
  const other = noise(count, 32_767, seed + 0x1000);
  const omega = (2 * Math.PI * toneHz) / sampleRateHz;
  return one.map((value, n) => Math.round(AMPLITUDE * Math.sin(omega * n) + (value + other[n]!) / 32_767));
}

/** Frequencies from one to another, both included. */
function spread(fromHz: number, toHz: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => fromHz + ((toHz - fromHz) * i) / (count - 1));
}

function splitTone(samples: Int16Array, rateHz: number, toneHz: number): { amplitude: number; rest: Float64Array } {
  const { amplitude, phase, offset } = fitTone(samples, rateHz, toneHz);
  const omega = (2 * Math.PI * toneHz) / rateHz;
  const rest = Float64Array.from(samples, (x, n) => x - offset - amplitude * Math.sin(omega * n + phase));
  return { amplitude, rest };
}

/**
 * The largest amplitude at the frequencies where images and aliases of a tone come to lie: k × `fromHz` ± the tone, folded
 * into the output's band.
 */
function largestGhost(samples: ArrayLike<number>, fromHz: number, toHz: number, toneHz: number): number {
  const ghostsHz = new Set<number>();
  const highestHz = Math.max(fromHz, toHz) * (toHz % fromHz === 0 || fromHz % toHz === 0 ? 0.5 : 1);
  for (let k = 0; k * fromHz - toneHz <= highestHz; k++) {
    for (const ghostHz of [k * fromHz - toneHz, k * fromHz + toneHz]) {
      if (ghostHz <= 0 || ghostHz > highestHz) continue;
      const folded = Math.abs(ghostHz - toHz * Math.round(ghostHz / toHz));
      // Next to 0 Hz, the Nyquist frequency and the tone itself a sine cannot be told from what is there.
      if (folded > 20 && folded < toHz / 2 - 20 && Math.abs(folded - toneHz) > 20) ghostsHz.add(folded);
    }
  }
  return Math.max(...[...ghostsHz].map((ghostHz) => fitTone(samples, toHz, ghostHz).amplitude), 0);
}

function decibels(ratio: number): number {
  return 20 * Math.log10(ratio);
}
