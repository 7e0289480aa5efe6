import { decodeBase64, encodeBase64 } from '../../audio/base64.ts';
import { type ConverterState, convert, endConversion } from '../../audio/converter.ts';
import { cutFrames, type FramerState } from '../../audio/frames.ts';
import { failure } from './failure.ts';
import { lastFrames } from './frame-output.ts';
import type { AudioJobResult, DownlinkJob, DownlinkOutput } from './jobs.ts';

/** Converts the pieces of one reply item and cuts them into frames in the call's format. */
export function downlinkJob({ call, upstream, state, inputs }: DownlinkJob): AudioJobResult {
  const converter: ConverterState = { resampler: state?.resampler };
  const framer: FramerState = state?.framer ?? { remainder: new Uint8Array(0) };
  const outputs = inputs.map((input): DownlinkOutput => {
    try {
      if (input === null) return lastFrames(framer, endConversion(converter, call), call);
      const { frames, count } = cutFrames(framer, convert(converter, decodeBase64(input), upstream, call), call);
      return { ok: true, base64: encodeBase64(frames), frameCount: count, paddedMs: 0 };
    } catch (error) {
      return failure(error);
    }
  });
  return { state: { ...converter, framer }, outputs };
}
