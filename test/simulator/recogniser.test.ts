import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { resampleWhole } from '../../src/audio/resampler.ts';
import { readWav } from '../../src/audio/wav.ts';
import type { Codec } from '../../src/simulator/format.ts';
import { loadLibrary } from '../../src/simulator/library.ts';
import type { Recogniser } from '../../src/simulator/recogniser.ts';
import { FIXTURES, joined, manifest, PCM, PCMA, PCMU, speech } from './client.ts';

const utterances = Object.entries(manifest.calls).flatMap(([id, call]) =>
  call.utterances.map((utterance) => ({ id, file: call.file, ...utterance })),
);

/** What the detector would commit: the words with 300 ms before and 500 ms behind. */
function turn(
  file: string,
  startMs: number,
  endMs: number,
  codec: Codec,
  change: (samples: Int16Array) => void = () => {},
) {
  const { samples, sampleRateHz } = readWav(readFileSync(FIXTURES + file));
  const at = (ms: number) => Math.round((ms * sampleRateHz) / 1000);
  const piece = samples.slice(at(startMs - 300), at(endMs + 500));
  change(piece);
  return codec.encode(resampleWhole(piece, sampleRateHz, codec.sampleRateHz));
}

/** White noise of a level relative to the samples', the same every time. */
function addNoise(samples: Int16Array, belowDb: number): void {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const amplitude = Math.sqrt(3 * power * 10 ** (-belowDb / 10));
  let state = 1;
  for (let i = 0; i < samples.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const noise = amplitude * (state / 2 ** 31 - 1);
    samples[i] = Math.max(-32_768, Math.min(32_767, samples[i]! + noise));
  }
}

describe('the recogniser', () => {
  let recogniser: Recogniser;
  beforeAll(async () => {
    ({ recogniser } = await loadLibrary(FIXTURES));
  });

  describe.each(utterances)('knows "$text" ($id)', ({ file, startMs, endMs, text }) => {
    it.each([PCM, PCMU, PCMA])('in $encoding', (codec) => {
      expect(recogniser.recognise(codec, turn(file, startMs, endMs, codec))).toBe(text);
    });

    it('softly', () => {
      const soften = (samples: Int16Array) => {
        for (let i = 0; i < samples.length; i++) samples[i] = samples[i]! >> 3;
      };
      expect(recogniser.recognise(PCMU, turn(file, startMs, endMs, PCMU, soften))).toBe(text);
    });

    it('in noise', () => {
      const noisy = turn(file, startMs, endMs, PCMU, (samples) => addNoise(samples, 15));
      expect(recogniser.recognise(PCMU, noisy)).toBe(text);
    });
  });

  it('knows two recordings in one turn, in their order', () => {
    const [first, second] = [utterances[1]!, utterances[0]!];
    const both = joined(
      turn(first.file, first.startMs, first.endMs, PCM),
      turn(second.file, second.startMs, second.endMs, PCM),
    );
    expect(recogniser.recognise(PCM, both)).toBe(`${first.text} ${second.text}`);
  });

  it('knows a part of a recording', () => {
    const { text, file, startMs, endMs } = utterances.find(({ id }) => id === 'transfer-request-16k')!;
    const half = turn(file, startMs, Math.round((startMs + endMs) / 2) - 500, PCM);
    const heard = recogniser.recognise(PCM, half);
    expect(text.startsWith(heard)).toBe(true);
    expect(heard.split(' ').length).toBeGreaterThan(2);
    expect(heard.split(' ').length).toBeLessThan(text.split(' ').length);
  });

  it('does not know what it never heard', async () => {
    for (const { file } of Object.values(manifest.agentLines)) {
      const { samples, sampleRateHz } = readWav(readFileSync(FIXTURES + file));
      const audio = PCM.encode(resampleWhole(samples, sampleRateHz, 24_000));
      expect(recogniser.recognise(PCM, audio)).toMatch(/^\(unrecognised speech, \d+\.\d s\)$/);
    }
    expect(recogniser.recognise(PCM, speech(1900))).toBe('(unrecognised speech, 1.9 s)');
    expect(recogniser.recognise(PCM, new Uint8Array(0))).toBe('(unrecognised speech, 0.0 s)');
  });
});
