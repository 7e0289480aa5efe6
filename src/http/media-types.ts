import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError, quote } from './errors.ts';
import type { ChunkAudio } from './gateway.ts';
import { RAW_AUDIO_TYPES } from './schemas.ts';

/** Lets unencoded audio bodies arrive as a Buffer. */
export function installAudioParsers(app: FastifyInstance): void {
  app.addContentTypeParser([...RAW_AUDIO_TYPES], { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

/**
 * What an unencoded body is, by its Content-Type.
 * `audio/pcm` and `audio/l16` take `rate` (Hz) and `endianness` (`little-endian`, the default, or `big-endian`).
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
      return { kind: 'wav' };
    case 'audio/pcmu':
      return { kind: 'pcmu' };
    case 'audio/pcma':
      return { kind: 'pcma' };
    default: {
      const channels = parameters.get('channels');
      if (channels !== undefined && channels !== '1') {
        throw new ApiError('unsupported_media_type', `channels is ${quote(channels)}, but must be 1; send a WAV file`);
      }
      const endianness = parameters.get('endianness') ?? 'little-endian';
      if (endianness !== 'little-endian' && endianness !== 'big-endian') {
        throw new ApiError(
          'unsupported_media_type',
          `endianness is ${quote(endianness)}, but must be little-endian or big-endian`,
        );
      }
      const rate = parameters.get('rate');
      const rateHz = rate === undefined ? undefined : Number(rate);
      if (rateHz !== undefined && ![8000, 16_000, 24_000, 48_000].includes(rateHz)) {
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
