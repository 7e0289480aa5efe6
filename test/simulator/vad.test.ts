import { describe, expect, it } from 'vitest';
import { AudioBuffer } from '../../src/simulator/audio-buffer.ts';
import { EnergyMeter } from '../../src/simulator/energy.ts';
import { Vad } from '../../src/simulator/vad.ts';
import { PCM, PCMU, speech } from './client.ts';

const settings = { threshold: 0.5, prefixPaddingMs: 300, silenceDurationMs: 200 };

/** Mean square of a level in dBFS. */
const power = (dbfs: number) => 32_768 ** 2 * 10 ** (dbfs / 10);

/** What the detector says over stretches of a level: the window in which it says it, and what. */
function transitions(vad: Vad, ...stretches: [dbfs: number, windows: number][]): string[] {
  const said: string[] = [];
  let window = 0;
  for (const [dbfs, windows] of stretches) {
    for (let n = 0; n < windows; n++) {
      window += 1;
      const change = vad.next(power(dbfs));
      if (change) said.push(`${change.kind} ${window}`);
    }
  }
  return said;
}

describe('Vad', () => {
  it('starts with the third loud window and stops after the silence', () => {
    expect(transitions(new Vad(settings), [-80, 50], [-20, 50], [-80, 50])).toEqual(['started 53', 'stopped 110']);
  });

  it('takes speech up again before the silence is over', () => {
    const said = transitions(new Vad(settings), [-80, 50], [-20, 20], [-80, 9], [-20, 20], [-80, 20]);
    expect(said).toEqual(['started 53', 'stopped 109']);
  });

  it('takes steady noise for speech only until it knows it', () => {
    const said = transitions(new Vad(settings), [-80, 50], [-33, 400], [-15, 50], [-33, 50]);
    expect(said[0]).toBe('started 53');
    expect(said[1]).toMatch(/^stopped /);
    expect(Number(said[1]?.split(' ')[1])).toBeLessThan(50 + 180);
    expect(said.slice(2)).toEqual(['started 453', 'stopped 510']);
  });

  it('never takes loud speech for noise, however long it lasts', () => {
    expect(transitions(new Vad(settings), [-80, 50], [-20, 2000])).toEqual(['started 53']);
  });
});

describe('EnergyMeter', () => {
  it.each([PCM, PCMU])('measures $encoding the same however it is cut', (codec) => {
    const audio = speech(205, codec);
    const measure = (chunkBytes: number) => {
      const windows: number[] = [];
      const meter = new EnergyMeter(codec, (value) => windows.push(value));
      for (let at = 0; at < audio.length; at += chunkBytes) meter.write(audio.subarray(at, at + chunkBytes));
      return windows;
    };
    const whole = measure(audio.length);
    expect(whole).toHaveLength(10);
    expect(measure(38)).toEqual(whole);
    const samples = codec.decode(audio).subarray(0, codec.sampleRateHz / 50);
    expect(whole[0]).toBeCloseTo(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length, 3);
  });
});

describe('AudioBuffer', () => {
  it('slices across chunks, by offsets that never start anew', () => {
    const buffer = new AudioBuffer();
    for (let n = 0; n < 10; n++) buffer.write(Uint8Array.of(3 * n, 3 * n + 1, 3 * n + 2));
    expect([...buffer.slice(4, 11)]).toEqual([4, 5, 6, 7, 8, 9, 10]);
    buffer.dropBefore(14);
    expect([buffer.start, buffer.end]).toEqual([12, 30]);
    expect([...buffer.slice(0, 14)]).toEqual([12, 13]);
    expect([...buffer.slice(28, 99)]).toEqual([28, 29]);
  });
});
