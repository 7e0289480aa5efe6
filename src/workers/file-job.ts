import { encodeBase64 } from '../audio/base64.ts';
import type { AudioFormat } from '../audio/format.ts';
import { createFramerState, cutFrames, flushFrames } from '../audio/frames.ts';
import { aLawFromPcm16, muLawFromPcm16 } from '../audio/g711.ts';
import { bytesFromPcm16 } from '../audio/pcm16.ts';
import { createResamplerState, flushResampler, resample } from '../audio/resampler.ts';
import { readWav } from '../audio/wav.ts';
import type { AudioJobResult, DownlinkOutput, FileJob } from './audio-jobs.ts';
import { failure } from './failure.ts';

/** Reads WAV files and cuts them into frames in the call's format. */
export function fileJob({ call, inputs }: FileJob): AudioJobResult {
  const outputs = inputs.map((file): DownlinkOutput => {
    try {
      return framesOfFile(file, call);
    } catch (error) {
      return failure(error);
    }
  });
  return { state: {}, outputs };
}

function framesOfFile(file: Uint8Array, call: AudioFormat): DownlinkOutput {
  const framer = createFramerState();
  const whole = cutFrames(framer, inFormat(file, call), call);
  const last = flushFrames(framer, call);
  return {
    ok: true,
    base64: encodeBase64(whole.frames) + encodeBase64(last.frames),
    frameCount: whole.count + last.count,
    paddedMs: last.paddedMs,
  };
}

function inFormat(file: Uint8Array, { encoding, sampleRateHz }: AudioFormat): Uint8Array {
  const wav = readWav(file);
  let { samples } = wav;
  if (wav.sampleRateHz !== sampleRateHz) {
    const resampler = createResamplerState(wav.sampleRateHz, sampleRateHz);
    const head = resample(resampler, samples);
    const tail = flushResampler(resampler);
    samples = new Int16Array(head.length + tail.length);
    samples.set(head);
    samples.set(tail, head.length);
  }
  if (encoding === 'pcmu') return muLawFromPcm16(samples);
  return encoding === 'pcma' ? aLawFromPcm16(samples) : bytesFromPcm16(samples);
}
