import { parse } from 'content-type';
import type { FastifyInstance } from 'fastify';
import { codecOf, type DeclaredAudio, ENCODINGS, type Encoding } from '../audio/codec.ts';
import type { SampleRateHz } from '../audio/sample-rates.ts';
import { ApiError } from './errors.ts';
import { quote } from './quote.ts';
import { RAW_AUDIO_TYPES } from './schemas.ts';

/** Lets unencoded audio bodies arrive as a Buffer. */
export function installAudioParsers(app: FastifyInstance): void {
  app.addContentTypeParser([...RAW_AUDIO_TYPES], { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

/** Media types of bare samples, with the encoding each names. */
const ENCODING_OF = new Map<string, Encoding>([
  ...ENCODINGS.map((encoding) => [codecOf(encoding).mediaType, encoding] as const),
  ['audio/l16', 'pcm16'],
]);

/**
 * What an unencoded body is, by its Content-Type. Bare samples take `rate` (Hz) and `channels` (1); PCM16
 * (`audio/pcm`, `audio/l16`) also `endianness` (`little-endian`, the default, or `big-endian`).
 * @throws {ApiError} `unsupported_media_type` for a type or a parameter that cannot be followed
 */
export function declaredAudio(header: string): DeclaredAudio {
  const { type, parameters } = parse(header);
  if (type === 'audio/wav' || type === 'audio/x-wav' || type === 'audio/wave') return { kind: 'wav' };
  const encoding = ENCODING_OF.get(type);
  if (encoding === undefined) throw unsupported('Content-Type', header, [...ENCODING_OF.keys()]);
  const { rate, channels = '1', endianness = 'little-endian' } = parameters;
  if (channels !== '1') {
    throw new ApiError('unsupported_media_type', `channels is ${quote(channels)}, but must be 1; send a WAV file`);
  }
  const sampleRateHz = rateOf(rate, encoding, type);
  if (encoding === 'pcm16' && endianness !== 'little-endian' && endianness !== 'big-endian') {
    throw unsupported('endianness', endianness, ['little-endian', 'big-endian']);
  }
  return {
    kind: encoding,
    ...(sampleRateHz === undefined ? {} : { sampleRateHz }),
    ...(endianness === 'big-endian' ? { bigEndian: true } : {}),
  };
}

function rateOf(rate: string | undefined, encoding: Encoding, type: string): SampleRateHz | undefined {
  if (rate === undefined) return undefined;
  const { sampleRatesHz } = codecOf(encoding);
  const rateHz = sampleRatesHz.find((known) => String(known) === rate);
  if (rateHz !== undefined) return rateHz;
  const why = sampleRatesHz.length === 1 ? ` with ${quote(type)}` : '';
  throw new ApiError('unsupported_media_type', `rate is ${quote(rate)}, but must be ${either(sampleRatesHz)}${why}`);
}

function unsupported(what: string, value: string, allowed: readonly string[]): ApiError {
  return new ApiError('unsupported_media_type', `${what} is ${quote(value)}, but must be ${either(allowed)}`);
}

/** `a, b or c`. */
function either(values: readonly (string | number)[]): string {
  return values.length === 1 ? String(values[0]) : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
