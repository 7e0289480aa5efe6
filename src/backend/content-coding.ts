import type { Transform } from 'node:stream';
import zlib from 'node:zlib';

/** More codings than this on top of each other are no answer of an honest server. */
const MAX_CODINGS = 3;

/** A body that cannot be decoded. */
export class ContentCodingError extends Error {
  readonly code = 'bad_content_encoding';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ContentCodingError';
  }
}

type Decoders = Readonly<Record<string, (body: Buffer, isPartial: boolean) => Transform>>;

// Node has zstd from version 22.15 on.
const { createZstdDecompress } = zlib as Partial<Pick<typeof zlib, 'createZstdDecompress'>>;

/** With `isPartial` the end of the body is no error, wherever it comes. */
const DECODERS: Decoders = {
  gzip: (_body, isPartial) => zlib.createGunzip(zlibOptions(isPartial)),
  deflate: (body, isPartial) =>
    isZlibHeader(body) ? zlib.createInflate(zlibOptions(isPartial)) : zlib.createInflateRaw(zlibOptions(isPartial)),
  br: (_body, isPartial) =>
    zlib.createBrotliDecompress(isPartial ? { finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH } : {}),
  ...(createZstdDecompress && {
    zstd: (_body: Buffer, isPartial: boolean) =>
      createZstdDecompress(isPartial ? { finishFlush: zlib.constants.ZSTD_e_flush } : {}),
  }),
};
const ALIASES: Readonly<Record<string, string>> = { 'x-gzip': 'gzip' };

/** What a request says it understands. */
export const ACCEPT_ENCODING = Object.keys(DECODERS).join(', ');

export interface DecodedBody {
  readonly bytes: Buffer;
  /** There is more of the body than these bytes. */
  readonly isTruncated: boolean;
}

/**
 * Undoes the codings of a body, at most `maxBytes` of what each of them holds.
 * @param header the answer's `Content-Encoding`
 * @throws {ContentCodingError} when a coding is unknown or the body is not in it
 */
export async function decodeBody(
  body: DecodedBody,
  header: string | readonly string[] | undefined,
  maxBytes: number,
): Promise<DecodedBody> {
  const codings = [header ?? []]
    .flat()
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity');
  if (codings.length > MAX_CODINGS) throw new ContentCodingError(`the body has ${codings.length} codings`);
  let decoded = body;
  for (const name of codings.reverse()) decoded = await decode(decoded, name, maxBytes);
  return decoded;
}

async function decode({ bytes, isTruncated }: DecodedBody, name: string, maxBytes: number): Promise<DecodedBody> {
  const coding = ALIASES[name] ?? name;
  const create = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
  if (!create) throw new ContentCodingError('the coding of the body is unknown');
  // Answers without a body say how it would be coded.
  if (bytes.length === 0) return { bytes, isTruncated };
  const chunks: Buffer[] = [];
  let byteCount = 0;
  const decoder = create(bytes, isTruncated);
  decoder.end(bytes);
  try {
    // Leaving the loop ends the decoder, so that a small body that holds gigabytes costs no more than `maxBytes`.
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      byteCount += chunk.length;
      if (byteCount > maxBytes) break;
    }
  } catch (cause) {
    throw new ContentCodingError(`the body is not ${coding}`, { cause });
  }
  const whole = Buffer.concat(chunks);
  return { bytes: whole.subarray(0, maxBytes), isTruncated: isTruncated || byteCount > maxBytes };
}

function zlibOptions(isPartial: boolean): zlib.ZlibOptions {
  return isPartial ? { finishFlush: zlib.constants.Z_SYNC_FLUSH } : {};
}

/** `deflate` is zlib's format by the book, and often the bare one. */
function isZlibHeader(body: Buffer): boolean {
  return body.length >= 2 && ((body[0] as number) & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0;
}
