import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidAudioError, type InvalidAudioReason } from '../../src/audio/errors.ts';
import { mixToMono } from '../../src/audio/pcm16.ts';
import { SAMPLE_RATES_HZ } from '../../src/audio/sample-rates.ts';
import { looksLikeWav, readWav, writeWav } from '../../src/audio/wav.ts';
import { noise } from '../support/tones.ts';

const SAMPLES = noise(160, 30_000);

function chunk(id: string, body: Uint8Array, claimed = body.length): Uint8Array {
  const bytes = Buffer.alloc(8 + body.length + (body.length % 2));
  bytes.write(id, 'latin1');
  bytes.writeUInt32LE(claimed, 4);
  bytes.set(body, 8);
  return bytes;
}

function riff(chunks: Uint8Array[], claimed?: number, id = 'RIFF'): Uint8Array {
  const body = Buffer.concat([Buffer.from('WAVE'), ...chunks]);
  return chunk(id, body, claimed ?? body.length);
}

interface FormatFields {
  tag?: number;
  channels?: number;
  rate?: number;
  blockAlign?: number;
  bits?: number;
}

function fmt({ tag = 1, channels = 1, rate = 16000, blockAlign = channels * 2, bits = 16 }: FormatFields = {}) {
  const body = Buffer.alloc(16);
  body.writeUInt16LE(tag, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(rate, 4);
  body.writeUInt32LE(rate * blockAlign, 8);
  body.writeUInt16LE(blockAlign, 12);
  body.writeUInt16LE(bits, 14);
  return body;
}

function extensible(subFormat: string): Uint8Array {
  const tail = Buffer.alloc(24);
  tail.writeUInt16LE(22, 0);
  tail.writeUInt16LE(16, 2);
  tail.write(subFormat, 8, 'hex');
  return Buffer.concat([fmt({ tag: 0xfffe }), tail]);
}

const data = (samples: Int16Array, claimed?: number) => chunk('data', new Uint8Array(samples.buffer.slice(0)), claimed);

function faultOf(bytes: Uint8Array): [InvalidAudioReason, string] {
  try {
    readWav(bytes);
  } catch (error) {
    if (!(error instanceof InvalidAudioError)) throw error;
    return [error.reason, error.message];
  }
  throw new Error('the file was accepted');
}

describe('reading', () => {
  test('what was written, at every rate, at every alignment', () => {
    for (const rate of SAMPLE_RATES_HZ) {
      for (const offset of [0, 1]) {
        const file = writeWav(SAMPLES, rate);
        const shifted = new Uint8Array(file.length + offset);
        shifted.set(file, offset);
        expect(readWav(shifted.subarray(offset))).toEqual({ sampleRateHz: rate, channels: 1, samples: SAMPLES });
      }
    }
  });

  test('stereo, averaged', () => {
    expect(readWav(writeWav(SAMPLES, 8000, 2))).toEqual({
      sampleRateHz: 8000,
      channels: 2,
      samples: mixToMono(SAMPLES, 2),
    });
  });

  test('among other chunks, of even and odd size', () => {
    const extras = [
      chunk('LIST', Buffer.from('INFOx')),
      chunk('fact', Buffer.alloc(4)),
      chunk('junk', Buffer.alloc(0)),
    ];
    const file = riff([...extras, chunk('fmt ', fmt()), ...extras, data(SAMPLES), ...extras]);
    expect(readWav(file).samples).toEqual(SAMPLES);
    expect(readWav(riff([chunk('fmt ', Buffer.concat([fmt(), Buffer.alloc(2)])), data(SAMPLES)])).samples).toEqual(
      SAMPLES,
    );
  });

  test('an extensible format with PCM inside', () => {
    const pcm = extensible('0100000000001000800000aa00389b71');
    expect(readWav(riff([chunk('fmt ', pcm), data(SAMPLES)])).samples).toEqual(SAMPLES);
  });

  test('data of unknown size, as writers into a pipe leave it', () => {
    // FreeSWITCH and libsndfile; sox; arecord; ffmpeg; sizes with the header subtracted or added.
    const sizes = [0, 0x7fff_f000, 0x7fff_ffff, 0x8000_0000, 0x8000_0024, 0xffff_ffff, 0xffff_ffff - 36];
    for (const size of sizes) {
      const file = riff([chunk('fmt ', fmt()), data(SAMPLES, size)], size === 0 ? 36 : size);
      expect(readWav(file).samples).toEqual(SAMPLES);
      // Cut in the middle of a sample: up to the last whole one.
      expect(readWav(file.subarray(0, -1)).samples).toEqual(SAMPLES.slice(0, -1));
    }
    const stereo = riff([chunk('fmt ', fmt({ channels: 2 })), data(SAMPLES, 0xffff_ffff)], 0xffff_ffff);
    expect(readWav(stereo.subarray(0, -2)).samples).toEqual(mixToMono(SAMPLES.slice(0, -2), 2));
  });

  test('a size of 0 is unknown whatever the file claims for itself, unless it adds up', () => {
    for (const claimed of [0, 36, 44, 0x7fff_ffff, 0xffff_ffff]) {
      const file = riff([chunk('fmt ', fmt()), data(SAMPLES, 0)], claimed);
      expect(readWav(file).samples).toEqual(SAMPLES);
    }
  });

  test('a size of 0 in a file that is whole means what it says', () => {
    const file = riff([chunk('fmt ', fmt()), data(new Int16Array(0)), chunk('LIST', Buffer.from('INFO'))]);
    expect(faultOf(file)).toEqual(['empty', 'audio is a WAV file without samples']);
  });
});

describe('refusing', () => {
  const withFormat = (fields: FormatFields) => riff([chunk('fmt ', fmt(fields)), data(SAMPLES)]);
  const cases: ReadonlyArray<[what: string, file: Uint8Array, reason: InvalidAudioReason, message: string]> = [
    ['nothing', new Uint8Array(0), 'empty', 'audio has no bytes'],
    ['noise', new Uint8Array(64), 'bad_wav', 'audio is not a WAV file: it does not start with "RIFF"'],
    [
      'a cut header',
      writeWav(SAMPLES, 8000).subarray(0, 10),
      'bad_wav',
      'audio is a WAV file that is cut off: 10 of the 12 bytes of its header are there',
    ],
    [
      'an AVI',
      Buffer.from('RIFF\x04\0\0\0AVI \0\0\0\0'),
      'bad_wav',
      'audio is not a WAV file: it is RIFF of the type "AVI" instead of "WAVE"',
    ],
    [
      'RF64',
      riff([chunk('ds64', Buffer.alloc(28))], 0xffff_ffff, 'RF64'),
      'unsupported_format',
      'audio is a WAV file of the kind RF64; only RIFF is accepted',
    ],
    [
      'RIFX',
      riff([chunk('fmt ', fmt())], 40, 'RIFX'),
      'unsupported_format',
      'audio is a WAV file of the kind RIFX; only RIFF is accepted',
    ],
    ['only a header', riff([]), 'bad_wav', 'audio is a WAV file that has no fmt chunk'],
    ['no data', riff([chunk('fmt ', fmt())]), 'bad_wav', 'audio is a WAV file that has no data chunk'],
    [
      'data before fmt',
      riff([data(SAMPLES), chunk('fmt ', fmt())]),
      'bad_wav',
      'audio is a WAV file that has a data chunk before its fmt chunk',
    ],
    [
      'a cut chunk header',
      riff([chunk('fmt ', fmt()), Buffer.from('data')]),
      'bad_wav',
      'audio is a WAV file that is cut off: 4 of the 8 bytes of a chunk header are there',
    ],
    [
      'a cut fmt chunk',
      writeWav(SAMPLES, 8000).subarray(0, 30),
      'bad_wav',
      'audio is a WAV file that is cut off: its "fmt" chunk claims 16 bytes, of which 10 are there',
    ],
    [
      'a small fmt chunk',
      riff([chunk('fmt ', fmt().subarray(0, 14))]),
      'bad_wav',
      'audio is a WAV file that has a fmt chunk of 14 bytes; at least 16 are needed',
    ],
    [
      'a small extensible fmt chunk',
      riff([chunk('fmt ', Buffer.concat([fmt({ tag: 0xfffe }), Buffer.alloc(2)]))]),
      'bad_wav',
      'audio is a WAV file that has an extensible fmt chunk of 18 bytes; 40 are needed',
    ],
    [
      'an LIST chunk of 4 GiB',
      riff([chunk('LIST', Buffer.from('INFO'), 0xffff_ffff)]),
      'bad_wav',
      'audio is a WAV file that is cut off: its "LIST" chunk claims 4294967295 bytes, of which 4 are there',
    ],
    [
      'an unprintable chunk',
      riff([chunk('\x01<\xff>', Buffer.alloc(0), 9)]),
      'bad_wav',
      'audio is a WAV file that is cut off: its "?<?>" chunk claims 9 bytes, of which 0 are there',
    ],
    [
      'cut data',
      writeWav(SAMPLES, 8000).subarray(0, 144),
      'bad_wav',
      'audio is a WAV file that is cut off: its data chunk claims 320 bytes, of which 100 are there',
    ],
    [
      'a claim of 1 GB',
      riff([chunk('fmt ', fmt()), data(SAMPLES, 1_000_000_000)]),
      'bad_wav',
      'audio is a WAV file that is cut off: its data chunk claims 1000000000 bytes, of which 320 are there',
    ],
    [
      'half a sample',
      riff([chunk('fmt ', fmt()), chunk('data', new Uint8Array(321))]),
      'bad_wav',
      'audio is a WAV file that has 321 bytes of data, not a whole number of 2-byte sample blocks',
    ],
    [
      'half a stereo sample',
      riff([chunk('fmt ', fmt({ channels: 2 })), chunk('data', new Uint8Array(322))]),
      'bad_wav',
      'audio is a WAV file that has 322 bytes of data, not a whole number of 4-byte sample blocks',
    ],
    [
      'float',
      withFormat({ tag: 3, bits: 32, blockAlign: 4 }),
      'unsupported_format',
      'audio is a WAV file in floating point (format 3); only 16-bit PCM is accepted',
    ],
    [
      'mu-law',
      withFormat({ tag: 7, bits: 8, blockAlign: 1 }),
      'unsupported_format',
      'audio is a WAV file in G.711 mu-law (format 7); only 16-bit PCM is accepted',
    ],
    [
      'a format nobody knows',
      withFormat({ tag: 4711 }),
      'unsupported_format',
      'audio is a WAV file in an unknown encoding (format 4711); only 16-bit PCM is accepted',
    ],
    [
      'extensible float',
      riff([chunk('fmt ', extensible('0300000000001000800000aa00389b71'))]),
      'unsupported_format',
      'audio is a WAV file in floating point (format 3); only 16-bit PCM is accepted',
    ],
    [
      'an extensible format of its own',
      riff([chunk('fmt ', extensible('0100000000001000800000aa00389b72'))]),
      'unsupported_format',
      'audio is a WAV file in an unknown encoding (format 65534); only 16-bit PCM is accepted',
    ],
    [
      '24 bits',
      withFormat({ bits: 24, blockAlign: 3 }),
      'unsupported_format',
      'audio is a WAV file with 24 bits a sample; only 16-bit PCM is accepted',
    ],
    ['no channels', withFormat({ channels: 0 }), 'bad_wav', 'audio is a WAV file that has 0 channels'],
    [
      '6 channels',
      withFormat({ channels: 6 }),
      'unsupported_format',
      'audio is a WAV file with 6 channels; only mono and stereo are accepted',
    ],
    [
      'a wrong block align',
      withFormat({ channels: 1, blockAlign: 4 }),
      'bad_wav',
      'audio is a WAV file that has a block align of 4 bytes; 1 channel of 16 bits need 2',
    ],
    [
      '44.1 kHz',
      withFormat({ rate: 44100 }),
      'unsupported_rate',
      'audio is a WAV file at 44100 Hz; 8000, 16000, 24000, 48000 Hz are accepted',
    ],
  ];

  test.each(cases)('%s', (_what, file, reason, message) => {
    expect(faultOf(file)).toEqual([reason, message]);
  });
});

test('only what begins as a WAV file looks like one', () => {
  const file = writeWav(SAMPLES, 16000);
  expect(looksLikeWav(file)).toBe(true);
  expect(looksLikeWav(file.subarray(0, 12))).toBe(true);
  expect(looksLikeWav(file.subarray(0, 11))).toBe(false);
  expect(looksLikeWav(file.subarray(1))).toBe(false);
  for (const id of ['RIFX', 'RF64', 'BW64']) expect(looksLikeWav(riff([], 4, id))).toBe(true);
  expect(looksLikeWav(Buffer.from('RIFF\0\0\0\0AVI '))).toBe(false);
  expect(looksLikeWav(new Uint8Array(0))).toBe(false);
});

describe('hostile files', () => {
  const stereo = riff([
    chunk('LIST', Buffer.from('INFOabc')),
    chunk('fmt ', extensible('0100000000001000800000aa00389b71')),
    data(SAMPLES),
  ]);
  const originals = [writeWav(SAMPLES, 16000), writeWav(SAMPLES, 8000, 2), stereo];
  const value = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
  const edits = fc.array(fc.tuple(fc.nat(90), value, fc.constantFrom(1, 2, 4)), { minLength: 1, maxLength: 6 });

  test('are read or refused, and never make more of themselves than they are', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.constantFrom(...originals), edits, fc.nat(400), fc.boolean(), (original, changes, end, cuts) => {
        const file = new Uint8Array(original.subarray(0, cuts ? end : original.length));
        for (const [at, byte, width] of changes) file.fill(byte, at, at + width);
        try {
          const { samples, channels } = readWav(file);
          expect(samples.byteLength * channels).toBeLessThanOrEqual(file.length);
          seen.add('read');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidAudioError);
          seen.add((error as InvalidAudioError).reason);
        }
      }),
      { numRuns: 20_000 },
    );
    expect([...seen].sort()).toEqual(['bad_wav', 'empty', 'read', 'unsupported_format', 'unsupported_rate']);
  });

  test('cost no memory for what they only claim', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const size of [0x7fff_ffff, 0xffff_ffff]) {
      const { samples } = readWav(riff([chunk('fmt ', fmt({ channels: 2 })), data(SAMPLES, size)], size));
      expect(samples.buffer.byteLength).toBe(160);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });
});

test('writing refuses samples that are no whole groups', () => {
  expect(() => writeWav(new Int16Array(3), 8000, 2)).toThrow(RangeError);
});
