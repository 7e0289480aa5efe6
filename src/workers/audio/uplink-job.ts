import { type AudioFormat, bytesPerMs, codecOf, type DeclaredAudio, isSameFormat } from '../../audio/codec.ts';
import { atRate, type ConverterState } from '../../audio/converter.ts';
import { InvalidAudioError } from '../../audio/errors.ts';
import { pcm16FromBytes } from '../../audio/pcm16.ts';
import { voicedMs } from '../../audio/voice-activity.ts';
import { looksLikeWav, readWav } from '../../audio/wav.ts';
import { chunkBytes, g711Chunk } from './chunk-bytes.ts';
import { failure } from './failure.ts';
import type { AudioJobResult, UplinkJob, UplinkOutput } from './jobs.ts';
import { piecesOf } from './pieces.ts';

/** Reads, checks and converts the chunks of one call. */
export function uplinkJob(job: UplinkJob): AudioJobResult {
  const state: ConverterState = { resampler: job.state?.resampler };
  const outputs = job.inputs.map((input): UplinkOutput => {
    try {
      return chunk(chunkBytes(input.data), input.declared, job, state);
    } catch (error) {
      return failure(error);
    }
  });
  return { state, outputs };
}

/** A chunk of samples in a known format; its bytes, where they have been looked at as samples already, as samples. */
interface Chunk {
  readonly format: AudioFormat;
  readonly bytes: Uint8Array;
  readonly samples?: Int16Array;
}

function chunk(
  data: Uint8Array,
  declared: DeclaredAudio | undefined,
  { call, upstream, measureVoice }: UplinkJob,
  state: ConverterState,
): UplinkOutput {
  const { format, bytes, ...read } =
    call.encoding === 'pcm16'
      ? readPcm16(data, declared, call)
      : { format: call, bytes: g711Chunk(data, declared, call) };
  const audioMs = read.samples ? (read.samples.length * 1000) / format.sampleRateHz : bytes.length / bytesPerMs(format);
  const isPassedOn = isSameFormat(format, upstream) && !state.resampler;
  const samples = isPassedOn && !measureVoice ? undefined : (read.samples ?? codecOf(format.encoding).decode(bytes));
  const converted =
    isPassedOn || !samples ? bytes : codecOf(upstream.encoding).encode(atRate(state, samples, format, upstream));
  return {
    ok: true,
    audioMs,
    pieces: piecesOf(converted, upstream),
    ...(measureVoice && samples ? { voicedMs: voicedMs(samples, format.sampleRateHz) } : {}),
  };
}

function readPcm16(data: Uint8Array, declared: DeclaredAudio | undefined, call: AudioFormat): Chunk {
  if (declared !== undefined && declared.kind !== 'wav' && declared.kind !== 'pcm16') {
    throw new InvalidAudioError(
      'unsupported_format',
      `audio is ${declared.kind} by its Content-Type, but the call was created as pcm16`,
    );
  }
  if (declared?.kind === 'wav' || (!declared && looksLikeWav(data))) {
    const { samples, sampleRateHz } = readWav(data);
    return pcm16Chunk(samples, { encoding: 'pcm16', sampleRateHz });
  }
  const { sampleRateHz = call.sampleRateHz } = declared ?? {};
  const samples = pcm16FromBytes(data, declared?.bigEndian ? 'big' : 'little');
  return pcm16Chunk(samples, { encoding: 'pcm16', sampleRateHz });
}

function pcm16Chunk(samples: Int16Array, format: AudioFormat): Chunk {
  return { format, samples, bytes: codecOf('pcm16').encode(samples) };
}
