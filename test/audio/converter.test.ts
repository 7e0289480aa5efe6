import { describe, expect, it } from 'vitest';
import { type AudioFormat, bytesPerMs, CODECS, codecOf, ENCODINGS, upstreamFormatOf } from '../../src/audio/codec.ts';
import { type ConverterState, convert, convertWhole, endConversion } from '../../src/audio/converter.ts';

const FORMATS: AudioFormat[] = ENCODINGS.flatMap((encoding) =>
  codecOf(encoding).sampleRatesHz.map((sampleRateHz) => ({ encoding, sampleRateHz })),
);
const PAIRS = FORMATS.flatMap((from) => FORMATS.map((to) => ({ from, to })));

/** A second of a sine of 400 Hz. */
function tone(format: AudioFormat): Uint8Array {
  const { sampleRateHz } = format;
  const samples = Int16Array.from({ length: sampleRateHz }, (_, i) =>
    Math.round(8000 * Math.sin((2 * Math.PI * 400 * i) / sampleRateHz)),
  );
  return codecOf(format.encoding).encode(samples);
}

describe('converting a stream', () => {
  it.each(PAIRS)('$from to $to, cut anywhere, equals the whole', ({ from, to }) => {
    const bytes = tone(from);
    const whole = convertWhole(bytes, from, to);
    expect(whole.length).toBe(1000 * bytesPerMs(to));
    const state: ConverterState = {};
    const pieces: Uint8Array[] = [];
    const { bytesPerSample } = CODECS[from.encoding];
    for (let at = 0, cut = 1; at < bytes.length; cut = (cut * 7) % 997) {
      const end = Math.min(bytes.length, at + cut * bytesPerSample);
      pieces.push(new Uint8Array(convert(state, bytes.subarray(at, end), from, to)));
      at = end;
    }
    pieces.push(endConversion(state, to));
    expect(Buffer.compare(Buffer.concat(pieces), whole)).toBe(0);
  });

  it.each(PAIRS)('$from to $to keeps the tone', ({ from, to }) => {
    const heard = codecOf(to.encoding).decode(convertWhole(tone(from), from, to));
    // Away from the ends, where the filter rings.
    const middle = heard.subarray(heard.length * 0.1, heard.length * 0.9);
    const rms = Math.sqrt(middle.reduce((sum, sample) => sum + sample * sample, 0) / middle.length);
    expect(rms).toBeGreaterThan((8000 / Math.SQRT2) * 0.97);
    expect(rms).toBeLessThan((8000 / Math.SQRT2) * 1.03);
  });

  it('returns the same format as it is', () => {
    const bytes = tone({ encoding: 'pcmu', sampleRateHz: 8000 });
    const format: AudioFormat = { encoding: 'pcmu', sampleRateHz: 8000 };
    expect(convert({}, bytes, format, format)).toBe(bytes);
  });

  it('chooses the upstream format with the fewest conversions', () => {
    expect(upstreamFormatOf({ encoding: 'pcma', sampleRateHz: 8000 })).toEqual({
      encoding: 'pcma',
      sampleRateHz: 8000,
    });
    expect(upstreamFormatOf({ encoding: 'pcm16', sampleRateHz: 8000 })).toEqual({
      encoding: 'pcm16',
      sampleRateHz: 24000,
    });
  });
});
