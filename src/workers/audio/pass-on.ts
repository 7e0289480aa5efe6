import { decodeBase64 } from '../../audio/base64.ts';
import { bytesPerMs, isSameFormat } from '../../audio/codec.ts';
import { createFramerState } from '../../audio/frames.ts';
import { chunkBytes, g711Chunk } from './chunk-bytes.ts';
import { failure } from './failure.ts';
import { lastFrames, nextFrames } from './frame-output.ts';
import type { AudioState, DownlinkJob, DownlinkOutput, UplinkInput, UplinkJob, UplinkOutput } from './jobs.ts';
import { piecesOf } from './pieces.ts';

/** Longer inputs are nobody's chunk or delta: they are the pool's, whatever they need. In characters or bytes. */
const MAX_LENGTH = 32_768;

type Setup<Job extends UplinkJob | DownlinkJob> = Omit<Job, 'state' | 'inputs'>;

/**
 * G.711 that goes on as it came is only wrapped anew, in 2 to 5 µs for 100 ms of it. Handing that to another thread and
 * having it back costs each of the two a wake-up and some 20 µs, so it is done where it is.
 */
export function canPassOn({ call, upstream, ...setup }: Setup<UplinkJob> | Setup<DownlinkJob>): boolean {
  return call.encoding !== 'pcm16' && isSameFormat(call, upstream) && !(setup.kind === 'up' && setup.measureVoice);
}

/** The output of an {@link UplinkJob}'s input; undefined: it is too long to be worked on here. */
export function passUp({ data, declared }: UplinkInput, job: Setup<UplinkJob>): UplinkOutput | undefined {
  if (data.length > MAX_LENGTH) return undefined;
  try {
    const bytes = g711Chunk(chunkBytes(data), declared, job.call);
    const audioMs = bytes.length / bytesPerMs(job.call);
    return { ok: true, audioMs, pieces: piecesOf(bytes, job.upstream) };
  } catch (error) {
    return failure(error);
  }
}

/** The output of a {@link DownlinkJob}'s input, and what the next one is to be given; undefined as in {@link passUp}. */
export function passDown(
  base64: string | null,
  { call }: Setup<DownlinkJob>,
  state: AudioState | undefined,
): { readonly output: DownlinkOutput; readonly state: AudioState } | undefined {
  if (base64 !== null && base64.length > MAX_LENGTH) return undefined;
  const framer = state?.framer ?? createFramerState();
  const passed = { ...state, framer };
  try {
    const output =
      base64 === null ? lastFrames(framer, new Uint8Array(0), call) : nextFrames(framer, decodeBase64(base64), call);
    return { output, state: passed };
  } catch (error) {
    return { output: failure(error), state: passed };
  }
}
