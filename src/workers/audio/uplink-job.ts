import { decodeBase64, encodeBase64 } from '../../audio/base64.ts';
import { InvalidAudioError } from '../../audio/errors.ts';
import { type AudioFormat, bytesPerMs, isSampleRateHz, type SampleRateHz } from '../../audio/format.ts';
import { g711FromBytes, pcm16FromALaw, pcm16FromMuLaw } from '../../audio/g711.ts';
import { bytesFromPcm16, pcm16FromBytes } from '../../audio/pcm16.ts';
import { createResamplerState, flushResampler, type ResamplerState, resample } from '../../audio/resampler.ts';
import { voicedMs } from '../../audio/voice-activity.ts';
import { looksLikeWav, readWav } from '../../audio/wav.ts';
import { failure } from './failure.ts';
import type { AudioJobResult, UplinkInput, UplinkJob, UplinkOutput } from './jobs.ts';

/** Reads, checks and resamples the chunks of one call and makes append events of them. */
export function uplinkJob(job: UplinkJob): AudioJobResult {
  let resampler = job.state?.resampler;
  const outputs = job.inputs.map((input): UplinkOutput => {
    try {
      const { encoding } = job.call;
      if (encoding !== 'pcm16') return g711Chunk(input, encoding, job);
      const { samples, sampleRateHz } = readPcm16(input, job.call);
      const converted = convert(samples, sampleRateHz, job.upstream.sampleRateHz, resampler);
      resampler = converted.resampler;
      return {
        ok: true,
        audioMs: (samples.length * 1000) / sampleRateHz,
        frames: appendFrames(bytesFromPcm16(converted.samples), job.upstream),
        ...(job.measureVoice ? { voicedMs: voicedMs(samples, sampleRateHz) } : {}),
      };
    } catch (error) {
      return failure(error);
    }
  });
  return { state: { resampler }, outputs };
}

/** The event that carries `bytes` upstream. */
export function appendFrame(bytes: Uint8Array): string {
  return `{"type":"input_audio_buffer.append","audio":"${encodeBase64(bytes)}"}`;
}

/** Longest audio of one event: a whole recording sent as one chunk stays far below the upstream's limit an event. */
const MAX_FRAME_MS = 1_000;

function appendFrames(bytes: Uint8Array, format: AudioFormat): { frame: string; audioMs: number }[] {
  const msBytes = bytesPerMs(format);
  const frames: { frame: string; audioMs: number }[] = [];
  for (let start = 0; start < bytes.length; start += MAX_FRAME_MS * msBytes) {
    const part = bytes.subarray(start, start + MAX_FRAME_MS * msBytes);
    frames.push({ frame: appendFrame(part), audioMs: part.length / msBytes });
  }
  return frames;
}

/** G.711 goes upstream as it came. */
function g711Chunk({ data, declared }: UplinkInput, encoding: 'pcmu' | 'pcma', job: UplinkJob): UplinkOutput {
  if (declared && declared.kind !== encoding) {
    if (declared.kind === 'wav') throw wavOnG711(encoding);
    throw new InvalidAudioError(
      'unsupported_format',
      `audio is ${declared.kind} by its Content-Type, but the call was created as ${encoding}`,
    );
  }
  const bytes = g711FromBytes(bytesOf(data), encoding);
  const decode = encoding === 'pcmu' ? pcm16FromMuLaw : pcm16FromALaw;
  return {
    ok: true,
    frames: appendFrames(bytes, job.upstream),
    audioMs: bytes.length / bytesPerMs(job.call),
    ...(job.measureVoice ? { voicedMs: voicedMs(decode(bytes), 8000) } : {}),
  };
}

function wavOnG711(encoding: string): InvalidAudioError {
  return new InvalidAudioError(
    'wav_on_g711',
    `audio is a WAV file, but the call was created as ${encoding}: send its raw bytes`,
  );
}

function readPcm16(
  { data, declared }: UplinkInput,
  call: AudioFormat,
): { samples: Int16Array; sampleRateHz: SampleRateHz } {
  const bytes = bytesOf(data);
  if (declared?.kind === 'pcmu' || declared?.kind === 'pcma') {
    throw new InvalidAudioError(
      'unsupported_format',
      `audio is ${declared.kind} by its Content-Type, but the call was created as pcm16`,
    );
  }
  if (declared?.kind === 'wav' || (!declared && looksLikeWav(bytes))) return readWav(bytes);
  const raw = declared?.kind === 'pcm16' ? declared : undefined;
  const rateHz = raw?.sampleRateHz;
  return {
    samples: pcm16FromBytes(bytes, raw?.bigEndian ? 'big' : 'little'),
    sampleRateHz: rateHz !== undefined && isSampleRateHz(rateHz) ? rateHz : call.sampleRateHz,
  };
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  const bytes = typeof data === 'string' ? decodeBase64(data) : data;
  if (bytes.length === 0) throw new InvalidAudioError('empty', 'audio is empty');
  return bytes;
}

/** Resamples; a rate that changes mid-call ends one filter's audio and starts another's. */
function convert(
  samples: Int16Array,
  fromHz: SampleRateHz,
  toHz: SampleRateHz,
  state: ResamplerState | undefined,
): { samples: Int16Array; resampler: ResamplerState | undefined } {
  const tail = state && state.fromHz !== fromHz ? flushResampler(state) : undefined;
  let resampler = tail ? undefined : state;
  let converted = samples;
  if (fromHz !== toHz) {
    resampler ??= createResamplerState(fromHz, toHz);
    converted = resample(resampler, samples);
  }
  return { samples: tail ? concat(tail, converted) : converted, resampler };
}

function concat(a: Int16Array, b: Int16Array): Int16Array {
  const joined = new Int16Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
