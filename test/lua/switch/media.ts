import { closeSync, constants, existsSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { FLAG, FRAME_MS, FRAME_SAMPLES, type SharedCall } from './shared-call.ts';

/** Every start of a playback blanks this much of the caller in the recording. */
const BLANK_SAMPLES = 296;
const DEFAULT_WRITE_BUFFER_BYTES = 65_536;
/** mod_native_file asks a FIFO for this much and takes what is there. */
const NATIVE_READ_BYTES = 32_768;

interface Recording {
  readonly path: string;
  readonly fd: number;
  /** Bytes of each frame that are written. */
  readonly frameBytes: number;
  readonly bufferBytes: number;
  pending: Buffer;
}

interface Playback {
  /** Undefined for a file that is not a FIFO: it plays for a moment. */
  readonly fd: number | undefined;
  buffered: Buffer;
  isAtEnd: boolean;
  framesLeft: number;
}

/**
 * The media of a call, on the thread of the call: a frame each way every 20 ms for as long as somebody asks for frames.
 * While nobody does, or while a read blocks, nothing is recorded and nothing is heard. Media that came meanwhile are not
 * lost, as they are not on a network with a jitter buffer: they are gone through faster afterwards.
 */
export class Media {
  readonly #call: SharedCall;
  readonly #silence: number;
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  #nextAtMs = 0;
  #recording: Recording | undefined;
  #playback: Playback | undefined;
  #blankSamples = 0;

  constructor(call: SharedCall, codec: string) {
    this.#call = call;
    this.#silence = codec === 'PCMA' ? 0xd5 : 0xff;
  }

  /** Whether the channel is up. Notices a hang-up, as the switch does between two frames. */
  isReady(): boolean {
    const { flags } = this.#call;
    const isHungUp = Atomics.load(flags, FLAG.hungUp) === 1;
    if (isHungUp && Atomics.exchange(flags, FLAG.exists, 0) === 1) this.stopRecording();
    return Atomics.load(flags, FLAG.exists) === 1;
  }

  /** A digit the caller has pressed, or undefined. */
  takeDigit(): string | undefined {
    const { flags, digits } = this.#call;
    const taken = Atomics.load(flags, FLAG.digitsTaken);
    if (taken === Atomics.load(flags, FLAG.digitsPressed)) return undefined;
    Atomics.add(flags, FLAG.digitsTaken, 1);
    return String.fromCharCode(digits[taken % digits.length]!);
  }

  /** Starts `record_session`. Opening a FIFO waits for its reader, and meanwhile the call cannot even be hung up. */
  startRecording(argument: string): void {
    const [path = '', braces = ''] = argument.split(' ');
    const options = Object.fromEntries(
      braces
        .replace(/^\{|\}$/g, '')
        .split(',')
        .map((pair) => pair.split('=') as [string, string]),
    );
    if (options.RECORD_READ_ONLY !== 'true') throw new Error('the recording would have the agent in it');
    this.#recording = {
      path,
      fd: openSync(path, constants.O_WRONLY),
      // Only mod_sndfile writes whole frames. The native formats are given 16-bit samples too, and write half of them.
      frameBytes: path.endsWith('.raw') ? FRAME_SAMPLES * 2 : FRAME_SAMPLES,
      bufferBytes: options.enable_file_write_buffering === 'false' ? 0 : DEFAULT_WRITE_BUFFER_BYTES,
      pending: Buffer.alloc(0),
    };
  }

  stopRecording(path?: string): void {
    const recording = this.#recording;
    if (!recording || (path !== undefined && path !== recording.path)) return;
    this.#recording = undefined;
    closeSync(recording.fd);
  }

  /** Opens what is to be played; a FIFO waits for its writer. Returns whether it can be played. */
  openPlayback(path: string): boolean {
    if (!this.isReady()) return false;
    if (path.includes('/') && !existsSync(path)) return false;
    const fd = existsSync(path) ? openSync(path, constants.O_RDONLY) : undefined;
    if (fd !== undefined && !fstatSync(fd).isFIFO()) throw new Error('only FIFOs and prompts are simulated');
    this.#playback = { fd, buffered: Buffer.alloc(0), isAtEnd: false, framesLeft: 25 };
    this.#blankSamples = BLANK_SAMPLES;
    Atomics.store(this.#call.flags, FLAG.playing, 1);
    return true;
  }

  closePlayback(): void {
    if (this.#playback?.fd !== undefined) closeSync(this.#playback.fd);
    this.#playback = undefined;
    Atomics.store(this.#call.flags, FLAG.playing, 0);
  }

  /** One frame of what is played, or of silence, and one of the caller. */
  frame(isPlaying: boolean): 'played' | 'eof' | 'broken' {
    const { flags } = this.#call;
    if (isPlaying && Atomics.load(flags, FLAG.breaks) > 0) {
      Atomics.sub(flags, FLAG.breaks, 1);
      return 'broken';
    }
    // `uuid_broadcast` runs inside a playback, which stays open and is not read meanwhile.
    const isRead = isPlaying && Atomics.load(flags, FLAG.overlaid) === 0;
    const heard = isRead ? this.#playbackFrame() : Buffer.alloc(FRAME_SAMPLES, this.#silence);
    if (!heard) return 'eof';
    this.#waitForFrame();
    const index = Atomics.load(flags, FLAG.frames);
    this.#call.hears.set(heard, index * FRAME_SAMPLES);
    this.#record(index);
    Atomics.store(flags, FLAG.frames, index + 1);
    Atomics.notify(flags, FLAG.frames);
    const hangUpAt = Atomics.load(flags, FLAG.hangUpAtFrame);
    if (hangUpAt > 0 && index + 1 >= hangUpAt) Atomics.store(flags, FLAG.hungUp, 1);
    return 'played';
  }

  #waitForFrame(): void {
    const now = performance.now();
    if (this.#nextAtMs === 0) this.#nextAtMs = now;
    const waitMs = this.#nextAtMs - now;
    if (waitMs > 0) Atomics.wait(this.#sleeper, 0, 0, waitMs);
    this.#nextAtMs += FRAME_MS;
  }

  /**
   * As mod_native_file and the playback loop have it: while no more than a frame is at hand the file is read, once, and
   * what is there then is played, be it a single byte.
   */
  #playbackFrame(): Buffer | undefined {
    const playback = this.#playback!;
    if (playback.fd === undefined) {
      playback.framesLeft -= 1;
      return playback.framesLeft < 0 ? undefined : Buffer.alloc(FRAME_SAMPLES, 0x80);
    }
    if (!playback.isAtEnd && playback.buffered.length <= FRAME_SAMPLES) {
      const bytes = Buffer.alloc(NATIVE_READ_BYTES);
      const count = readSync(playback.fd, bytes);
      if (count === 0) playback.isAtEnd = true;
      else playback.buffered = Buffer.concat([playback.buffered, bytes.subarray(0, count)]);
    }
    if (playback.buffered.length === 0) return undefined;
    const frame = Buffer.alloc(FRAME_SAMPLES, this.#silence);
    playback.buffered.copy(frame);
    playback.buffered = playback.buffered.subarray(FRAME_SAMPLES);
    return frame;
  }

  #record(index: number): void {
    const recording = this.#recording;
    if (!recording || Atomics.load(this.#call.flags, FLAG.held) === 1) return;
    if (Atomics.load(this.#call.flags, FLAG.framesToSkip) > 0) {
      Atomics.sub(this.#call.flags, FLAG.framesToSkip, 1);
      return;
    }
    const samples = new Int16Array(FRAME_SAMPLES);
    samples.set(this.#call.says.subarray(index * FRAME_SAMPLES, (index + 1) * FRAME_SAMPLES));
    const blank = Math.min(this.#blankSamples, FRAME_SAMPLES);
    samples.fill(0, 0, blank);
    this.#blankSamples -= blank;
    const bytes = Buffer.from(samples.buffer).subarray(0, recording.frameBytes);
    recording.pending = Buffer.concat([recording.pending, bytes]);
    if (recording.pending.length <= recording.bufferBytes) return;
    try {
      writeSync(recording.fd, recording.pending);
    } catch (error) {
      // The reader has gone: FreeSWITCH logs a line a frame and goes on.
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    }
    recording.pending = Buffer.alloc(0);
  }
}
