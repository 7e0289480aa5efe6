import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { bytesFromPcm16 } from '../audio/pcm16.ts';
import { WAV_HEADER_BYTES, wavHeader } from '../audio/wav.ts';
import type { RecordingRateHz } from './batch.ts';

const CHANNELS = 2;
const PRIVATE_MODE = 0o600;
/** What the sizes in a WAV header can count. */
const MAX_BYTES = 0xffff_ffff;

/**
 * A stereo WAV file that grows. It is whole after each write, so that a daemon that dies leaves one that can be played,
 * and it is open only while it is written to: hundreds of calls need no descriptors of their own.
 */
export class RecordingFile {
  readonly path: string;
  readonly #rateHz: RecordingRateHz;
  #dataBytes = 0;

  private constructor(path: string, rateHz: RecordingRateHz) {
    this.path = path;
    this.#rateHz = rateHz;
  }

  /** Creates an empty recording, which nobody else may read. @throws Error when it cannot, or one is there */
  static create(path: string, rateHz: RecordingRateHz): RecordingFile {
    const file = new RecordingFile(path, rateHz);
    const descriptor = openSync(path, 'wx', PRIVATE_MODE);
    try {
      writeAll(descriptor, wavHeader(0, rateHz, CHANNELS), 0);
    } finally {
      closeSync(descriptor);
    }
    return file;
  }

  get byteCount(): number {
    return WAV_HEADER_BYTES + this.#dataBytes;
  }

  get durationMs(): number {
    return Math.round((this.#dataBytes * 1000) / (this.#rateHz * CHANNELS * 2));
  }

  /** @throws Error when the disk does not take it, or somebody removed the file; what was written before stays */
  append(samples: Int16Array): void {
    if (samples.length === 0) return;
    const bytes = bytesFromPcm16(samples);
    if (this.byteCount + bytes.length > MAX_BYTES) throw new Error('the recording is as long as a WAV file can be');
    const descriptor = openSync(this.path, 'r+');
    try {
      writeAll(descriptor, bytes, this.byteCount);
      this.#dataBytes += bytes.length;
      writeAll(descriptor, wavHeader(this.#dataBytes, this.#rateHz, CHANNELS), 0);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** Bytes that files of ours may still take in a directory. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at, position + at);
}
