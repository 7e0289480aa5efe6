import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError, quote } from './errors.ts';
import type { ChunkAudio } from './gateway.ts';
import { RAW_AUDIO_TYPES } from './schemas.ts';

/** Lets unencoded audio bodies arrive as a Buffer. */
export function installAudioParsers(app: FastifyInstance): void {
  app.addContentTypeParser([...RAW_AUDIO_TYPES], { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

const RATES_HZ = new Map([8000, 16_000, 24_000, 48_000].map((rateHz) => [String(rateHz), rateHz]));

/**
 * What an unencoded body is, by its Content-Type.
 * `audio/pcm` and `audio/l16` take `rate` (Hz) and `endianness` (`little-endian`, the default, or `big-endian`).
 * @throws {ApiError} `unsupported_media_type` for a parameter that cannot be followed
 */
export function declaredAudio(request: FastifyRequest): NonNullable<ChunkAudio['declared']> {
  const header = request.headers['content-type'] ?? '';
  const [type = '', ...rest] = header.split(';').map((part) => part.trim());
  const parameters = new Map(
    rest.map((part) => {
      const [name = '', value = ''] = part.split('=');
      return [name.toLowerCase(), value.replaceAll('"', '')] as const;
    }),
  );
  switch (type.toLowerCase()) {
    case 'audio/wav':
    case 'audio/x-wav':
    case 'audio/wave':
      return { kind: 'wav' };
    case 'audio/pcmu':
    case 'audio/pcma': {
      const rate = parameters.get('rate');
      if (rate !== undefined && rate !== '8000') {
        throw new ApiError('unsupported_media_type', `rate is ${quote(rate)}, but must be 8000 with ${quote(type)}`);
      }
      checkMono(parameters);
      return { kind: type.toLowerCase() === 'audio/pcmu' ? 'pcmu' : 'pcma' };
    }
    default: {
      checkMono(parameters);
      const endianness = parameters.get('endianness') ?? 'little-endian';
      if (endianness !== 'little-endian' && endianness !== 'big-endian') {
        throw new ApiError(
          'unsupported_media_type',
          `endianness is ${quote(endianness)}, but must be little-endian or big-endian`,
        );
      }
      const rate = parameters.get('rate');
      const rateHz = rate === undefined ? undefined : RATES_HZ.get(rate);
      if (rate !== undefined && rateHz === undefined) {
        throw new ApiError('unsupported_media_type', `rate is ${quote(rate)}, but must be 8000, 16000, 24000 or 48000`);
      }
      return {
        kind: 'pcm16',
        bigEndian: endianness === 'big-endian',
        ...(rateHz === undefined ? {} : { sampleRateHz: rateHz }),
      };
    }
  }
}

function checkMono(parameters: ReadonlyMap<string, string>): void {
  const channels = parameters.get('channels');
  if (channels === undefined || channels === '1') return;
  throw new ApiError('unsupported_media_type', `channels is ${quote(channels)}, but must be 1; send a WAV file`);
}
