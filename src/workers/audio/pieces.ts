import { encodeBase64 } from '../../audio/base64.ts';
import { type AudioFormat, bytesPerMs } from '../../audio/codec.ts';

/** Longest audio of one piece: a whole recording sent as one chunk stays far below the upstream's limit an event. */
const MAX_PIECE_MS = 1_000;

/** A piece of caller audio, ready for the upstream. */
export interface CallerPiece {
  /** Base64 in the upstream's format. */
  readonly base64: string;
  readonly audioMs: number;
}

/** Bytes in the upstream's format, as the pieces in which they are sent: one for a chunk of the usual size. */
export function piecesOf(bytes: Uint8Array, format: AudioFormat): CallerPiece[] {
  const msBytes = bytesPerMs(format);
  const pieces: CallerPiece[] = [];
  for (let start = 0; start < bytes.length; start += MAX_PIECE_MS * msBytes) {
    const part = bytes.subarray(start, start + MAX_PIECE_MS * msBytes);
    pieces.push({ base64: encodeBase64(part), audioMs: part.length / msBytes });
  }
  return pieces;
}
