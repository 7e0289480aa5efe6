import { codecOf } from '../../audio/codec.ts';
import { convertWhole } from '../../audio/converter.ts';
import { createFramerState } from '../../audio/frames.ts';
import { readWav } from '../../audio/wav.ts';
import { failure } from './failure.ts';
import { lastFrames } from './frame-output.ts';
import type { AudioJobResult, DownlinkOutput, FileJob } from './jobs.ts';

/** Reads WAV files and cuts them into frames in the call's format. */
export function fileJob({ call, inputs }: FileJob): AudioJobResult {
  const outputs = inputs.map((file): DownlinkOutput => {
    try {
      const { samples, sampleRateHz } = readWav(file);
      const bytes = convertWhole(codecOf('pcm16').encode(samples), { encoding: 'pcm16', sampleRateHz }, call);
      return lastFrames(createFramerState(), bytes, call);
    } catch (error) {
      return failure(error);
    }
  });
  return { state: {}, outputs };
}
