import { InvalidAudioError } from './errors.ts';
import { bytesFromPcm16, mixToMono, pcm16FromBytes } from './pcm16.ts';
import { isSampleRateHz, SAMPLE_RATES_HZ, type SampleRateHz } from './sample-rates.ts';

/** What a WAV file holds. */
export interface WavAudio {
  readonly sampleRateHz: SampleRateHz;
  /** Channels in the file: 1 or 2. */
  readonly channels: number;
  /** The samples, two channels averaged into one. May be a view on the bytes read. */
  readonly samples: Int16Array;
}

const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const FORMAT_CHUNK_BYTES = 16;
const EXTENSIBLE_FORMAT_CHUNK_BYTES = 40;

const PCM = 0x0001;
const EXTENSIBLE = 0xfffe;
/** In an extensible format the first two bytes of the sub-format are a format tag, and these are the other fourteen. */
const SUB_FORMAT_TAIL = '000000001000800000aa00389b71';

const FORMAT_NAMES: Readonly<Record<number, string>> = {
  2: 'Microsoft ADPCM',
  3: 'floating point',
  6: 'G.711 A-law',
  7: 'G.711 mu-law',
  17: 'IMA ADPCM',
  49: 'GSM 06.10',
  85: 'MP3',
};

/**
 * Writers that cannot seek back declare a size near 2 or 4 GiB (less or more some header bytes) and let the end of the
 * stream end the data. No file that could be sent to us is honestly that large.
 */
const STREAMING_SIZES = [0x8000_0000, 0x1_0000_0000];
const STREAMING_SIZE_SLACK = 0x1_0000;

/**
 * Whether bytes begin as a WAV file does: `RIFF`, or one of its big (`RF64`, `BW64`) and big-endian (`RIFX`) relatives,
 * a size, and `WAVE`. {@link readWav} refuses the relatives by name, rather than let their headers be heard as noise.
 */
export function looksLikeWav(bytes: Uint8Array): boolean {
  return bytes.length >= RIFF_HEADER_BYTES && isRiffId(fourCc(bytes, 0)) && fourCc(bytes, 8) === 'WAVE';
}

/**
 * Reads a WAV file of 16-bit PCM, mono or stereo, at one of the rates the gateway speaks.
 *
 * Made for bytes from the network: it walks the chunks that are there and believes no size in a header further than the
 * bytes go, so memory and time are bounded by the input. A data chunk of unknown size (0 while more bytes follow than
 * the file's header counts, or near 2 or 4 GiB) is what a writer into a pipe leaves behind: everything up to the last
 * whole sample is taken. Any other data chunk that is larger than what is there has lost its end and is refused.
 *
 * @throws {InvalidAudioError} `bad_wav` when it is no WAV file, is cut off or contradicts itself; `unsupported_format`
 * when it is not 16-bit PCM of one or two channels; `unsupported_rate`; `empty` when it holds no sample.
 */
export function readWav(bytes: Uint8Array): WavAudio {
  checkRiffHeader(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let format: PcmFormat | undefined;
  let at = RIFF_HEADER_BYTES;
  while (at + CHUNK_HEADER_BYTES <= bytes.length) {
    const id = fourCc(bytes, at);
    const size = view.getUint32(at + 4, true);
    const start = at + CHUNK_HEADER_BYTES;
    const present = bytes.length - start;
    if (id === 'data') {
      if (format === undefined) throw badWav('has a data chunk before its fmt chunk');
      const length = dataLength(view, size, start, format.blockBytes);
      return readSamples(bytes.subarray(start, start + length), format);
    }
    if (size > present) {
      throw badWav(`is cut off: its ${quoteId(id)} chunk claims ${size} bytes, of which ${present} are there`);
    }
    if (id === 'fmt ') format = readFormat(view, start, size);
    // Chunks start at even offsets.
    at = start + size + (size % 2);
  }
  const rest = bytes.length - at;
  if (rest > 0) throw badWav(`is cut off: ${rest} of the ${CHUNK_HEADER_BYTES} bytes of a chunk header are there`);
  throw badWav(`has no ${format === undefined ? 'fmt' : 'data'} chunk`);
}

/**
 * Writes samples as a WAV file of 16-bit PCM.
 *
 * @param samples interleaved when there is more than one channel.
 * @param channels 1 unless told.
 * @throws {RangeError} when the samples are not whole groups of `channels`.
 */
export function writeWav(samples: Int16Array, sampleRateHz: number, channels = 1): Uint8Array {
  if (!Number.isInteger(channels) || channels < 1 || samples.length % channels !== 0) {
    throw new RangeError(`${samples.length} samples cannot be split into ${channels} channels`);
  }
  const header = wavHeader(samples.byteLength, sampleRateHz, channels);
  const file = new Uint8Array(header.length + samples.byteLength);
  file.set(header);
  file.set(bytesFromPcm16(samples), header.length);
  return file;
}

/** Bytes of a header as {@link wavHeader} writes it. */
export const WAV_HEADER_BYTES = RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES + FORMAT_CHUNK_BYTES + CHUNK_HEADER_BYTES;

/** What stands before `dataBytes` of 16-bit PCM in a WAV file. */
export function wavHeader(dataBytes: number, sampleRateHz: number, channels: number): Uint8Array {
  const header = new Uint8Array(WAV_HEADER_BYTES);
  const view = new DataView(header.buffer);
  const putId = (at: number, id: string) => {
    for (let i = 0; i < 4; i++) header[at + i] = id.charCodeAt(i);
  };
  putId(0, 'RIFF');
  view.setUint32(4, header.length + dataBytes - CHUNK_HEADER_BYTES, true);
  putId(8, 'WAVE');
  putId(12, 'fmt ');
  view.setUint32(16, FORMAT_CHUNK_BYTES, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRateHz, true);
  view.setUint32(28, sampleRateHz * channels * 2, true);
  view.setUint16(32, channels * 2, true);
  view.setUint16(34, 16, true);
  putId(36, 'data');
  view.setUint32(40, dataBytes, true);
  return header;
}

interface PcmFormat {
  readonly sampleRateHz: SampleRateHz;
  readonly channels: number;
  /** Bytes of one sample of every channel. */
  readonly blockBytes: number;
}

function checkRiffHeader(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new InvalidAudioError('empty', 'audio has no bytes');
  const id = bytes.length >= 4 ? fourCc(bytes, 0) : '';
  if (!isRiffId(id)) throw new InvalidAudioError('bad_wav', 'audio is not a WAV file: it does not start with "RIFF"');
  if (bytes.length < RIFF_HEADER_BYTES) {
    throw badWav(`is cut off: ${bytes.length} of the ${RIFF_HEADER_BYTES} bytes of its header are there`);
  }
  if (fourCc(bytes, 8) !== 'WAVE') {
    const type = quoteId(fourCc(bytes, 8));
    throw new InvalidAudioError('bad_wav', `audio is not a WAV file: it is RIFF of the type ${type} instead of "WAVE"`);
  }
  if (id !== 'RIFF') {
    throw unsupported('unsupported_format', `of the kind ${id}`, 'only RIFF is accepted');
  }
}

function readFormat(view: DataView, start: number, size: number): PcmFormat {
  if (size < FORMAT_CHUNK_BYTES) {
    throw badWav(`has a fmt chunk of ${size} bytes; at least ${FORMAT_CHUNK_BYTES} are needed`);
  }
  const channels = view.getUint16(start + 2, true);
  const sampleRateHz = view.getUint32(start + 4, true);
  const blockBytes = view.getUint16(start + 12, true);
  const bits = view.getUint16(start + 14, true);
  const tag = formatTag(view, start, size);
  if (tag !== PCM) {
    const name = FORMAT_NAMES[tag] ?? 'an unknown encoding';
    throw unsupported('unsupported_format', `in ${name} (format ${tag})`, 'only 16-bit PCM is accepted');
  }
  if (bits !== 16) {
    throw unsupported('unsupported_format', `with ${bits} bits a sample`, 'only 16-bit PCM is accepted');
  }
  if (channels === 0) throw badWav('has 0 channels');
  if (channels > 2) {
    throw unsupported('unsupported_format', `with ${channels} channels`, 'only mono and stereo are accepted');
  }
  if (blockBytes !== channels * 2) {
    const plural = channels === 1 ? '' : 's';
    throw badWav(
      `has a block align of ${blockBytes} bytes; ${channels} channel${plural} of 16 bits need ${channels * 2}`,
    );
  }
  if (!isSampleRateHz(sampleRateHz)) {
    throw unsupported('unsupported_rate', `at ${sampleRateHz} Hz`, `${SAMPLE_RATES_HZ.join(', ')} Hz are accepted`);
  }
  return { sampleRateHz, channels, blockBytes };
}

/** The format's tag, or in an extensible format its sub-format's, if that is made of one. */
function formatTag(view: DataView, start: number, size: number): number {
  const tag = view.getUint16(start, true);
  if (tag !== EXTENSIBLE) return tag;
  if (size < EXTENSIBLE_FORMAT_CHUNK_BYTES) {
    throw badWav(`has an extensible fmt chunk of ${size} bytes; ${EXTENSIBLE_FORMAT_CHUNK_BYTES} are needed`);
  }
  const subFormat = Buffer.from(view.buffer, view.byteOffset + start + 24, 16);
  return subFormat.toString('hex', 2) === SUB_FORMAT_TAIL ? subFormat.readUInt16LE(0) : EXTENSIBLE;
}

/** How many bytes from `start` on are samples, given the size that the data chunk claims. */
function dataLength(view: DataView, claimed: number, start: number, blockBytes: number): number {
  const present = view.byteLength - start;
  // An honest empty data chunk stands in a file whose header counts all bytes; a stream's header does not.
  const isStream =
    claimed === 0
      ? view.getUint32(4, true) + CHUNK_HEADER_BYTES !== view.byteLength
      : claimed > present && STREAMING_SIZES.some((size) => Math.abs(claimed - size) <= STREAMING_SIZE_SLACK);
  if (isStream) return present - (present % blockBytes);
  if (claimed > present) {
    throw badWav(`is cut off: its data chunk claims ${claimed} bytes, of which ${present} are there`);
  }
  if (claimed % blockBytes !== 0) {
    throw badWav(`has ${claimed} bytes of data, not a whole number of ${blockBytes}-byte sample blocks`);
  }
  return claimed;
}

function readSamples(data: Uint8Array, { sampleRateHz, channels }: PcmFormat): WavAudio {
  if (data.length === 0) throw new InvalidAudioError('empty', 'audio is a WAV file without samples');
  return { sampleRateHz, channels, samples: mixToMono(pcm16FromBytes(data), channels) };
}

function isRiffId(id: string): boolean {
  return id === 'RIFF' || id === 'RIFX' || id === 'RF64' || id === 'BW64';
}

function fourCc(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!);
}

/** A chunk's id as it may be shown: whatever is not printable ASCII becomes `?`. */
function quoteId(id: string): string {
  return `"${id.replace(/[^\x20-\x7e]/g, '?').trimEnd()}"`;
}

function badWav(fault: string): InvalidAudioError {
  return new InvalidAudioError('bad_wav', `audio is a WAV file that ${fault}`);
}

function unsupported(reason: 'unsupported_format' | 'unsupported_rate', what: string, rule: string): InvalidAudioError {
  return new InvalidAudioError(reason, `audio is a WAV file ${what}; ${rule}`);
}
