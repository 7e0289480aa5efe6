import { decodeBase64, encodeBase64 } from '../../audio/base64.ts';
import { cutFrames, type FramerState } from '../../audio/frames.ts';
import { bytesFromPcm16, pcm16FromBytes } from '../../audio/pcm16.ts';
import { createResamplerState, flushResampler, type ResamplerState, resample } from '../../audio/resampler.ts';
import { failure } from './failure.ts';
import { lastFrames } from './frame-output.ts';
import type { AudioJobResult, DownlinkJob, DownlinkOutput } from './jobs.ts';

const NOTHING = new Uint8Array(0);

/** Resamples the pieces of one reply item and cuts them into frames in the call's format. */
export function downlinkJob(job: DownlinkJob): AudioJobResult {
  const { call } = job;
  const resampler = job.state?.resampler ?? newResampler(job);
  const framer: FramerState = job.state?.framer ?? { remainder: NOTHING };
  const outputs = job.inputs.map((input): DownlinkOutput => {
    try {
      if (input === null) return lastFrames(framer, tailOf(resampler), call);
      const { frames, count } = cutFrames(framer, convert(decodeBase64(input), resampler), call);
      return { ok: true, base64: encodeBase64(frames), frameCount: count, paddedMs: 0 };
    } catch (error) {
      return failure(error);
    }
  });
  return { state: { resampler, framer }, outputs };

  function convert(bytes: Uint8Array, state: ResamplerState | undefined): Uint8Array {
    return state ? bytesFromPcm16(resample(state, pcm16FromBytes(bytes))) : bytes;
  }
  function tailOf(state: ResamplerState | undefined): Uint8Array {
    return state ? bytesFromPcm16(flushResampler(state)) : NOTHING;
  }
  function newResampler({ call, upstream }: DownlinkJob): ResamplerState | undefined {
    if (upstream.encoding !== 'pcm16' || upstream.sampleRateHz === call.sampleRateHz) return undefined;
    return createResamplerState(upstream.sampleRateHz, call.sampleRateHz);
  }
}
