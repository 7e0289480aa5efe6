import type { AudioFormat } from '../../audio/format.ts';
import { createFramerState } from '../../audio/frames.ts';
import { aLawFromPcm16, muLawFromPcm16 } from '../../audio/g711.ts';
import { bytesFromPcm16 } from '../../audio/pcm16.ts';
import { resampleWhole } from '../../audio/resampler.ts';
import { readWav } from '../../audio/wav.ts';
import { failure } from './failure.ts';
import { lastFrames } from './frame-output.ts';
import type { AudioJobResult, DownlinkOutput, FileJob } from './jobs.ts';

/** Reads WAV files and cuts them into frames in the call's format. */
export function fileJob({ call, inputs }: FileJob): AudioJobResult {
  const outputs = inputs.map((file): DownlinkOutput => {
    try {
      return lastFrames(createFramerState(), inFormat(file, call), call);
    } catch (error) {
      return failure(error);
    }
  });
  return { state: {}, outputs };
}

function inFormat(file: Uint8Array, { encoding, sampleRateHz }: AudioFormat): Uint8Array {
  const wav = readWav(file);
  const samples = resampleWhole(wav.samples, wav.sampleRateHz, sampleRateHz);
  if (encoding === 'pcmu') return muLawFromPcm16(samples);
  return encoding === 'pcma' ? aLawFromPcm16(samples) : bytesFromPcm16(samples);
}
