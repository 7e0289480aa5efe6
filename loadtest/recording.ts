import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type AudioFormat, bytesPerMs, codecOf, type Encoding } from '../src/audio/codec.ts';
import { createResamplerState, resample, resampleWhole } from '../src/audio/resampler.ts';
import type { SampleRateHz } from '../src/audio/sample-rates.ts';
import { readWav } from '../src/audio/wav.ts';
import { Reference } from './reference.ts';

/** The rate at which PCM16 calls travel upstream. */
const UPSTREAM_RATE_HZ: SampleRateHz = 24_000;

/** A caller's side of a call, ready to be sent: whole chunks in the call's format, shared by all calls that play it. */
export interface Recording {
  /** The file's name without folder and extension, which is its name in the manifest. */
  readonly name: string;
  readonly format: AudioFormat;
  readonly chunkMs: number;
  readonly chunkSamples: number;
  /** The bytes of each chunk. */
  readonly chunks: readonly Uint8Array[];
  /** The same as base64. */
  readonly base64: readonly string[];
  /** A chunk of silence, bytes and base64. */
  readonly silence: { readonly bytes: Uint8Array; readonly base64: string };
  /** What is heard when the upstream sends everything back while the recording is played over and over. */
  readonly reference: Reference;
}

/**
 * Reads a WAV file (PCM16, mono or stereo, 8 to 48 kHz), brings it to the call's rate and encoding, and cuts it into
 * chunks; the last one is filled up with silence.
 * @throws {Error} that names the file
 */
export function loadRecording(path: string, format: AudioFormat, chunkMs: number): Recording {
  const samples = readSamples(path, format.sampleRateHz);
  return recordingOf(basename(path).replace(/\.wav$/i, ''), samples, format, chunkMs);
}

/** A recording of these samples, which have the format's rate already. */
export function recordingOf(name: string, samples: Int16Array, format: AudioFormat, chunkMs: number): Recording {
  const chunkSamples = (format.sampleRateHz * chunkMs) / 1000;
  if (!Number.isInteger(chunkSamples)) {
    throw new RangeError(`${chunkMs} ms are no whole number of samples at ${format.sampleRateHz} Hz`);
  }
  // An even number of chunks: a round then is a whole number of samples at the upstream's rate, too.
  const chunkCount = Math.ceil(samples.length / chunkSamples / 2) * 2;
  const round = new Int16Array(chunkCount * chunkSamples);
  round.set(samples);
  const bytes = codecOf(format.encoding).encode(round);
  const chunkBytes = bytesPerMs(format) * chunkMs;
  const chunks = Array.from({ length: chunkCount }, (_, i) => bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes));
  const silence = codecOf(format.encoding).encode(new Int16Array(chunkSamples));
  return {
    name,
    format,
    chunkMs,
    chunkSamples,
    chunks,
    base64: chunks.map(toBase64),
    silence: { bytes: silence, base64: toBase64(silence) },
    reference: new Reference(heardOf(round, format), format.sampleRateHz),
  };
}

/** How far the filters between call and upstream look ahead, both ways together, in milliseconds. */
export function lookAheadMs({ encoding, sampleRateHz }: AudioFormat): number {
  if (encoding !== 'pcm16' || sampleRateHz === UPSTREAM_RATE_HZ) return 0;
  // What a stream of one second holds back until it is flushed.
  const heldBack = (fromHz: SampleRateHz, toHz: SampleRateHz) => {
    const state = createResamplerState(fromHz, toHz);
    return 1 - resample(state, new Int16Array(fromHz)).length / toHz;
  };
  return (heldBack(sampleRateHz, UPSTREAM_RATE_HZ) + heldBack(UPSTREAM_RATE_HZ, sampleRateHz)) * 1000;
}

/** A caller's bytes as samples; of PCM16 a view, where the bytes lie at an even address. */
export function decode(bytes: Uint8Array, encoding: Encoding): Int16Array {
  return codecOf(encoding).decode(bytes);
}

function readSamples(path: string, rateHz: SampleRateHz): Int16Array {
  try {
    const { samples, sampleRateHz } = readWav(readFileSync(path));
    return resampleWhole(samples, sampleRateHz, rateHz);
  } catch (cause) {
    throw new Error(`${path} cannot be played: ${(cause as Error).message}`, { cause });
  }
}

/**
 * One round of what comes back. The gateway converts a call without seams, so the round in the middle of three is what
 * every round but the first sounds like.
 */
function heardOf(round: Int16Array, { encoding, sampleRateHz }: AudioFormat): Int16Array {
  if (encoding !== 'pcm16') return decode(codecOf(encoding).encode(round), encoding);
  if (sampleRateHz === UPSTREAM_RATE_HZ) return round;
  const three = new Int16Array(round.length * 3);
  for (let i = 0; i < 3; i++) three.set(round, i * round.length);
  const back = resampleWhole(resampleWhole(three, sampleRateHz, UPSTREAM_RATE_HZ), UPSTREAM_RATE_HZ, sampleRateHz);
  return back.slice(round.length, 2 * round.length);
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
