import { decodeBase64 } from '../../audio/base64.ts';
import { type ConverterState, convert, endConversion } from '../../audio/converter.ts';
import { createFramerState } from '../../audio/frames.ts';
import { failure } from './failure.ts';
import { lastFrames, nextFrames } from './frame-output.ts';
import type { AudioJobResult, DownlinkJob, DownlinkOutput } from './jobs.ts';

/** Converts the pieces of one reply item and cuts them into frames in the call's format. */
export function downlinkJob({ call, upstream, state, inputs }: DownlinkJob): AudioJobResult {
  const converter: ConverterState = { resampler: state?.resampler };
  const framer = state?.framer ?? createFramerState();
  const outputs = inputs.map((input): DownlinkOutput => {
    try {
      if (input === null) return lastFrames(framer, endConversion(converter, call), call);
      return nextFrames(framer, convert(converter, decodeBase64(input), upstream, call), call);
    } catch (error) {
      return failure(error);
    }
  });
  return { state: { ...converter, framer }, outputs };
}
