/**
 * What the threads of a simulated call and the test share. The thread of the call blocks as FreeSWITCH's does, so that
 * nobody could send it messages; everything is in shared memory.
 */
export interface SharedCall {
  /** {@link FLAG} by index. */
  readonly flags: Int32Array;
  /** Digits pressed, as character codes. */
  readonly digits: Uint8Array;
  /** What the caller says, since the call was answered: 16-bit samples at 8000 Hz, as the switch decodes them. */
  readonly says: Int16Array;
  /** What the caller hears: G.711, one byte a sample, a frame of 160 every 20 ms since the call was answered. */
  readonly hears: Uint8Array;
}

export const FLAG = {
  /** 1 while the channel exists. */
  exists: 0,
  /** 1 once the caller has hung up, whether the switch has noticed or not. */
  hungUp: 1,
  /** Frames of media so far, both ways. */
  frames: 2,
  /** Digits pressed; digits the switch has passed on. */
  digitsPressed: 3,
  digitsTaken: 4,
  /** Frame at which the caller hangs up; 0: not planned. */
  hangUpAtFrame: 5,
  /** Frames that the recording is to leave out from now on. */
  framesToSkip: 6,
  /** A `uuid_break` to come: the playback is broken off. */
  breaks: 7,
  /** 1 while a playback runs. */
  playing: 8,
  /** 1 while the caller has the call on hold: nothing of him arrives, and nothing is recorded. */
  held: 9,
  /** 1 while something else is played into the call, inside the playback of the script. */
  overlaid: 10,
} as const;

export const FRAME_SAMPLES = 160;
export const FRAME_MS = 20;
const MAX_CALL_FRAMES = 90 * 50;

export function createSharedCall(): SharedCall {
  const shared = <T extends Int32Array | Uint8Array | Int16Array>(bytes: number, of: (b: SharedArrayBuffer) => T): T =>
    of(new SharedArrayBuffer(bytes));
  const call: SharedCall = {
    flags: shared(64, (b) => new Int32Array(b)),
    digits: shared(64, (b) => new Uint8Array(b)),
    says: shared(MAX_CALL_FRAMES * FRAME_SAMPLES * 2, (b) => new Int16Array(b)),
    hears: shared(MAX_CALL_FRAMES * FRAME_SAMPLES, (b) => new Uint8Array(b)),
  };
  call.flags[FLAG.exists] = 1;
  return call;
}
