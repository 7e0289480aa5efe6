import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pcm16FromALaw, pcm16FromMuLaw } from '../../src/audio/g711.ts';
import { bestCorrelation } from '../../src/audio/level.ts';
import { resampleWhole } from '../../src/audio/resampler.ts';
import { readWav } from '../../src/audio/wav.ts';

const SAMPLES_PER_MS = 8;
/** What is compared at a time. */
const WINDOW_SAMPLES = 300 * SAMPLES_PER_MS;
/** RMS under which a window of speech says nothing. */
const QUIET = 300;

/** A recording of `fixtures` at 8000 Hz. */
export function recordingAt8k(name: string): Int16Array {
  const path = fileURLToPath(new URL(`../../fixtures/${name}.wav`, import.meta.url));
  const { samples, sampleRateHz } = readWav(readFileSync(path));
  return resampleWhole(samples, sampleRateHz, 8000);
}

/** G.711 without its silence. What is left of two streams is equal when they differ in pauses only. */
export function withoutSilence(bytes: Uint8Array, codec: 'PCMU' | 'PCMA' = 'PCMU'): Buffer {
  return Buffer.from(bytes.filter((byte) => (codec === 'PCMU' ? (byte & 0x7f) !== 0x7f : byte !== 0xd5)));
}

export function decoded(bytes: Uint8Array, codec: 'PCMU' | 'PCMA' = 'PCMU'): Int16Array {
  return codec === 'PCMU' ? pcm16FromMuLaw(bytes) : pcm16FromALaw(bytes);
}

function rms(samples: Int16Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

/**
 * How much of `line`, in windows of 300 ms, is in `heard`: in its order, every window after the one before. Pauses may
 * have been put in between, as a slow machine does.
 * @returns the share of the windows that were found, and where the last of them ended, in samples
 */
export function shareHeard(line: Int16Array, heard: Int16Array, from = 0): { share: number; end: number } {
  let found = 0;
  let count = 0;
  let end = from;
  for (let start = 0; start + WINDOW_SAMPLES <= line.length; start += WINDOW_SAMPLES) {
    const window = line.subarray(start, start + WINDOW_SAMPLES);
    if (rms(window) < QUIET) continue;
    count += 1;
    const { lag, coefficient } = bestCorrelation(window, heard.subarray(end), heard.length);
    if (coefficient < 0.8 || lag < 0) continue;
    found += 1;
    end += lag + WINDOW_SAMPLES;
  }
  return { share: count === 0 ? 0 : found / count, end };
}

/** How many of the frames of 20 ms are not silent. */
export function loudFrames(samples: Int16Array): number {
  let count = 0;
  for (let at = 0; at + 160 <= samples.length; at += 160) if (rms(samples.subarray(at, at + 160)) > 50) count += 1;
  return count;
}
