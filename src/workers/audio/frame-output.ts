import { encodeBase64 } from '../../audio/base64.ts';
import type { AudioFormat } from '../../audio/codec.ts';
import { cutFrames, type FramerState, flushFrames } from '../../audio/frames.ts';
import type { DownlinkOutput } from './jobs.ts';

/** The whole frames that a stream's next bytes make. */
export function nextFrames(framer: FramerState, bytes: Uint8Array, call: AudioFormat): DownlinkOutput {
  const { frames, count } = cutFrames(framer, bytes, call);
  return { ok: true, base64: encodeBase64(frames), frameCount: count, paddedMs: 0 };
}

/** The frames that a stream's last bytes make, the last of them padded. */
export function lastFrames(framer: FramerState, bytes: Uint8Array, call: AudioFormat): DownlinkOutput {
  const whole = cutFrames(framer, bytes, call);
  const last = flushFrames(framer, call);
  return {
    ok: true,
    base64: encodeBase64(whole.frames) + encodeBase64(last.frames),
    frameCount: whole.count + last.count,
    paddedMs: last.paddedMs,
  };
}
