import { decodeBase64 } from '../audio/base64.ts';
import { AudioBuffer } from './audio-buffer.ts';
import { EnergyMeter } from './energy.ts';
import { RequestError } from './errors.ts';
import type { Codec } from './format.ts';
import { Vad, type VadSettings, WINDOW_MS } from './vad.ts';

/** The service commits no less than this. */
const MIN_COMMIT_MS = 100;

const MAX_APPEND_BYTES = 15 * 1024 * 1024;

/** Why audio became an item. */
export type CommitCause = 'vad' | 'client' | 'idle';

/** What the input buffer tells the session, in the order in which it happens. Offsets are milliseconds of audio written. */
export interface InputListener {
  speechStarted(itemId: string, audioStartMs: number): void;
  speechStopped(itemId: string, audioEndMs: number): void;
  timeoutTriggered(itemId: string, audioStartMs: number, audioEndMs: number): void;
  committed(itemId: string, audio: Uint8Array, codec: Codec, cause: CommitCause): void;
}

/**
 * The input audio buffer: what the client appended, cut into turns by voice activity or by the client's commits.
 * Everything is counted in audio, never in wall time: without audio nothing moves.
 */
export class InputAudio {
  readonly #listener: InputListener;
  readonly #newItemId: () => string;
  #codec: Codec;
  #buffer = new AudioBuffer();
  #meter: EnergyMeter;
  /** Audio written before the format last changed. */
  #earlierMs = 0;
  /** End of the last window the detector saw, in bytes. */
  #heard = 0;
  #vad: Vad | undefined;
  #speech: { itemId: string; from: number } | undefined;
  /** Start of what no commit and no clear has taken, in bytes. */
  #uncommitted = 0;
  #idle: { fromMs: number; timeoutMs: number } | undefined;

  constructor(codec: Codec, listener: InputListener, newItemId: () => string) {
    this.#codec = codec;
    this.#listener = listener;
    this.#newItemId = newItemId;
    this.#meter = this.#newMeter();
  }

  get codec(): Codec {
    return this.#codec;
  }

  /** Milliseconds of audio written since the session began. */
  get writtenMs(): number {
    return this.#msAt(this.#buffer.end);
  }

  get isSpeaking(): boolean {
    return this.#speech !== undefined;
  }

  #msAt(offset: number): number {
    return this.#earlierMs + offset / this.#codec.bytesPerMs;
  }

  #newMeter(): EnergyMeter {
    return new EnergyMeter(this.#codec, (power) => this.#onWindow(power));
  }

  /** Follows a change of the session. A new format starts a new buffer; offsets go on counting. */
  configure(codec: Codec, settings: VadSettings | undefined): void {
    if (codec !== this.#codec) {
      this.#earlierMs = this.writtenMs;
      this.#codec = codec;
      this.#buffer = new AudioBuffer();
      this.#restart();
    }
    if (!settings) {
      if (this.#vad) this.#restart();
      this.#vad = undefined;
      this.#idle = undefined;
    } else if (this.#vad) {
      this.#vad.configure(settings);
    } else {
      this.#vad = new Vad(settings);
      this.#restart();
    }
  }

  /** Forgets a turn in progress; the next window begins with the next byte. */
  #restart(): void {
    this.#vad?.reset();
    this.#speech = undefined;
    this.#meter = this.#newMeter();
    this.#heard = this.#buffer.end;
    this.#uncommitted = Math.min(this.#uncommitted, this.#buffer.end);
  }

  /**
   * Appends audio and tells the listener what it brought about.
   * @param base64 padded standard base64 of whole samples
   * @returns the bytes
   * @throws RequestError `invalid_value`
   */
  append(base64: unknown): Uint8Array {
    const bytes = this.#decode(base64);
    this.#buffer.write(bytes);
    if (this.#vad) {
      this.#meter.write(bytes);
      this.#dropStale(this.#vad);
      this.#checkIdle();
    }
    return bytes;
  }

  #decode(base64: unknown): Uint8Array {
    if (base64 === undefined) {
      throw new RequestError('missing_required_parameter', "Missing required parameter: 'audio'.", 'audio');
    }
    if (typeof base64 === 'string' && base64.length % 4 === 0) {
      try {
        const bytes = decodeBase64(base64);
        if (bytes.length % this.#codec.bytesPerSample === 0 && bytes.length <= MAX_APPEND_BYTES) return bytes;
      } catch {
        // Not base64: refused below with the service's sentence.
      }
    }
    const what = this.#codec.encoding === 'audio/pcm' ? 'mono PCM16 at 24kHz' : `mono ${this.#codec.encoding} at 8kHz`;
    const message = `Invalid 'audio'. Expected base64-encoded audio bytes (${what}) but got an invalid value.`;
    throw new RequestError('invalid_value', message, 'audio');
  }

  #onWindow(power: number): void {
    const vad = this.#vad;
    this.#heard += WINDOW_MS * this.#codec.bytesPerMs;
    const change = vad?.next(power);
    if (!vad || !change) return;
    if (change.kind === 'started') {
      const onset = this.#heard - change.agoMs * this.#codec.bytesPerMs;
      const from = Math.max(onset - vad.settings.prefixPaddingMs * this.#codec.bytesPerMs, this.#buffer.start, 0);
      const itemId = this.#newItemId();
      this.#speech = { itemId, from };
      this.#idle = undefined;
      this.#listener.speechStarted(itemId, Math.round(this.#msAt(from)));
    } else if (this.#speech) {
      const { itemId, from } = this.#speech;
      const to = this.#heard;
      this.#speech = undefined;
      this.#uncommitted = to;
      this.#listener.speechStopped(itemId, Math.round(this.#msAt(to)));
      this.#listener.committed(itemId, this.#buffer.slice(from, to), this.#codec, 'vad');
    }
  }

  /** Outside a turn only what may become the beginning of the next one is kept. */
  #dropStale(vad: Vad): void {
    const keepMs = vad.settings.prefixPaddingMs + 200;
    const from = this.#speech?.from ?? this.#buffer.end - keepMs * this.#codec.bytesPerMs;
    this.#buffer.dropBefore(from);
  }

  /**
   * Arms the idle timeout: the caller is prompted when `timeoutMs` of audio without speech follow the end of the
   * response's playback, which is `playbackMs` away.
   */
  armIdle(playbackMs: number, timeoutMs: number): void {
    if (!this.#vad || this.#speech) return;
    this.#idle = { fromMs: this.writtenMs + playbackMs, timeoutMs };
  }

  disarmIdle(): void {
    this.#idle = undefined;
  }

  #checkIdle(): void {
    if (!this.#idle || this.writtenMs < this.#idle.fromMs + this.#idle.timeoutMs) return;
    const { fromMs } = this.#idle;
    const to = this.#buffer.end;
    this.#idle = undefined;
    this.#uncommitted = to;
    const itemId = this.#newItemId();
    this.#listener.timeoutTriggered(itemId, Math.round(fromMs), Math.round(this.#msAt(to)));
    this.#listener.committed(itemId, this.#buffer.slice(this.#buffer.start, to), this.#codec, 'idle');
  }

  /** The client's `input_audio_buffer.commit`. @throws RequestError `input_audio_buffer_commit_empty` */
  commit(): void {
    const to = this.#buffer.end;
    const from = this.#speech?.from ?? this.#uncommitted;
    const lengthMs = (to - from) / this.#codec.bytesPerMs;
    if (lengthMs < MIN_COMMIT_MS) {
      const message = `Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has ${lengthMs.toFixed(2)}ms of audio.`;
      throw new RequestError('input_audio_buffer_commit_empty', message);
    }
    const itemId = this.#speech?.itemId ?? this.#newItemId();
    const audio = this.#buffer.slice(from, to);
    this.#endTurn(to);
    this.#listener.committed(itemId, audio, this.#codec, 'client');
  }

  /** The client's `input_audio_buffer.clear`: uncommitted audio and a turn in progress are forgotten. */
  clear(): void {
    this.#endTurn(this.#buffer.end);
  }

  #endTurn(at: number): void {
    this.#speech = undefined;
    this.#vad?.reset();
    this.#uncommitted = at;
    if (!this.#vad) this.#buffer.dropBefore(at);
  }
}
