import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { ContinuityChecker, SearchBudget } from '../../loadtest/continuity.ts';
import { decode, loadRecording, lookAheadMs, type Recording, recordingOf } from '../../loadtest/recording.ts';
import { createResamplerState, resample } from '../../src/audio/resampler.ts';
import { noise } from '../support/tones.ts';

const FORMAT = { encoding: 'pcm16', sampleRateHz: 16_000 } as const;
const WINDOW = 960;
const CHUNK = 1_600;
const WAV = fileURLToPath(new URL('../../fixtures/calls/order-status-16k.wav', import.meta.url));

let recording: Recording;
/** Two rounds of what is heard when all goes well. */
let heard: Int16Array;

beforeAll(() => {
  recording = loadRecording(WAV, FORMAT, 100);
  const { samples } = recording.reference;
  heard = joined([samples, samples]);
});

function joined(parts: readonly Int16Array[]): Int16Array {
  const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function wholeWindows(samples: Int16Array): Int16Array {
  return samples.subarray(0, samples.length - (samples.length % WINDOW));
}

function listen(samples: Int16Array, at: number | 'unknown' = 0) {
  const jumps: number[] = [];
  const checker = new ContinuityChecker({
    reference: recording.reference,
    windowSamples: WINDOW,
    at: at === 'unknown' ? undefined : at,
    chunkSamples: CHUNK,
    budget: new SearchBudget(),
    onJump: (jump) => jumps.push(jump),
  });
  checker.push(wholeWindows(samples));
  checker.finish();
  return { counts: checker.counts, jumps };
}

/** `heard` without the samples from `from` to `to`. */
function without(from: number, to: number): Int16Array {
  return joined([heard.subarray(0, from), heard.subarray(to)]);
}

describe('continuity', () => {
  it('is sample for sample around the loop', () => {
    const { counts, jumps } = listen(heard);
    expect(counts).toEqual({
      exact: wholeWindows(heard).length,
      alike: 0,
      lost: 0,
      repeated: 0,
      altered: 0,
      breaks: 0,
    });
    expect(jumps).toEqual([]);
  });

  it.each([
    ['a chunk', 1_600],
    ['a frame', 960],
    ['an odd number of samples', 1_237],
    ['one sample', 1],
    ['two seconds', 32_000],
  ])('finds that %s was lost, to the sample', (_, length) => {
    const { counts, jumps } = listen(without(80_000, 80_000 + length));
    expect(jumps).toEqual([length]);
    expect(counts).toMatchObject({ lost: length, repeated: 0, breaks: 1 });
    // A window may lie on both sides of the break.
    expect(counts.altered).toBeLessThanOrEqual(WINDOW);
  });

  it('finds losses in the line noise between two utterances, too', () => {
    const { jumps } = listen(without(150_000, 151_600));
    expect(jumps).toEqual([1_600]);
  });

  it('finds that a stretch was heard twice', () => {
    const { counts, jumps } = listen(joined([heard.subarray(0, 81_600), heard.subarray(80_000)]));
    expect(jumps).toEqual([-1_600]);
    expect(counts).toMatchObject({ lost: 0, repeated: 1_600, breaks: 1 });
  });

  it('finds that silence was put in', () => {
    const { counts, jumps } = listen(
      joined([heard.subarray(0, 80_000), new Int16Array(3_200), heard.subarray(80_000)]),
    );
    expect(jumps).toEqual([-3_200]);
    expect(counts).toMatchObject({ lost: 0, repeated: 3_200, breaks: 1 });
  });

  it('does not count silence that was put in as altered as well, however long it is', () => {
    const { counts, jumps } = listen(
      joined([heard.subarray(0, 80_640), new Int16Array(48_000), heard.subarray(80_640)]),
    );
    expect(jumps).toEqual([-48_000]);
    expect(counts).toMatchObject({ lost: 0, repeated: 48_000, altered: 0 });
  });

  it('finds every one of several breaks', () => {
    const broken = joined([
      heard.subarray(0, 60_000),
      heard.subarray(61_600, 120_000),
      heard.subarray(118_400, 200_000),
      heard.subarray(200_100),
    ]);
    expect(listen(broken).jumps).toEqual([1_600, -1_600, 100]);
  });

  it('counts audio that was replaced as altered, without a break', () => {
    const replaced = heard.slice();
    replaced.set(noise(4_800, 8_000), 80_640);
    const { counts } = listen(replaced);
    expect(counts).toMatchObject({ lost: 0, repeated: 0, breaks: 0 });
    expect(counts.altered).toBe(4_800);
  });

  it('does not take half the level for what was sent', () => {
    const quiet = heard.map((sample) => Math.trunc(sample * 0.4));
    const { counts } = listen(quiet.subarray(0, 96_000));
    expect(counts.exact).toBeLessThan(WINDOW);
    expect(counts.alike).toBeLessThan(WINDOW);
  });

  it('does not take something else for what was sent', () => {
    const wav = fileURLToPath(new URL('../../fixtures/agent/long-explanation.wav', import.meta.url));
    const other = loadRecording(wav, FORMAT, 100).reference.samples;
    const { counts } = listen(other);
    expect(counts.exact).toBe(0);
    expect(counts.altered).toBeGreaterThan(0.8 * wholeWindows(other).length);
  });

  it('finds its place by itself when it does not know where the audio begins', () => {
    const { counts, jumps } = listen(heard.subarray(71_234, 71_234 + 48_000), 'unknown');
    expect(jumps).toEqual([]);
    expect(counts).toMatchObject({ exact: 48_000, altered: 0, lost: 0 });
  });

  it('forgives small differences', () => {
    const rounded = heard.map((sample, i) => sample + (i % 3) - 1);
    const { counts } = listen(rounded);
    expect(counts).toMatchObject({ lost: 0, repeated: 0, altered: 0, exact: 0 });
  });
});

describe('a recording', () => {
  it('is cut into whole chunks that make up the file', () => {
    expect(recording.chunks.every((chunk) => chunk.length === 3_200)).toBe(true);
    expect(recording.base64[7]).toBe(Buffer.from(recording.chunks[7]!).toString('base64'));
    expect(recording.name).toBe('order-status-16k');
  });

  it('knows what comes back through both resamplers, but for the first filter length', () => {
    const sent = joined(recording.chunks.map((chunk) => decode(chunk, 'pcm16')));
    const up = resample(createResamplerState(16_000, 24_000), sent);
    const back = resample(createResamplerState(24_000, 16_000), up);
    const settled = 200;
    expect([...back.subarray(settled, 40_000)]).toEqual([...recording.reference.samples.subarray(settled, 40_000)]);
  });

  it('comes back as it is where nothing is resampled', () => {
    const samples = noise(4_800, 20_000);
    const plain = recordingOf('noise', samples, { encoding: 'pcm16', sampleRateHz: 24_000 }, 100);
    expect([...plain.reference.samples]).toEqual([...samples]);
    const g711 = recordingOf('noise', samples, { encoding: 'pcmu', sampleRateHz: 8_000 }, 100);
    expect([...g711.reference.samples.subarray(0, 800)]).toEqual([...decode(g711.chunks[0]!, 'pcmu')]);
  });

  it('knows how far the filters look ahead', () => {
    expect(lookAheadMs({ encoding: 'pcmu', sampleRateHz: 8_000 })).toBe(0);
    expect(lookAheadMs({ encoding: 'pcm16', sampleRateHz: 24_000 })).toBe(0);
    const ms = lookAheadMs(FORMAT);
    expect(ms).toBeGreaterThan(1);
    expect(ms).toBeLessThan(10);
  });

  it('says which file cannot be played', () => {
    expect(() => loadRecording('/no/such.wav', FORMAT, 100)).toThrow(/^\/no\/such\.wav cannot be played: /);
  });

  it('refuses chunks that are no whole number of samples', () => {
    expect(() => recordingOf('x', new Int16Array(100), { encoding: 'pcmu', sampleRateHz: 8_000 }, 0.3)).toThrow(
      RangeError,
    );
  });
});
