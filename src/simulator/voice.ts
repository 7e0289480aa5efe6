import { encodeBase64 } from '../audio/base64.ts';
import { resampleWhole } from '../audio/resampler.ts';
import type { Codec } from './format.ts';

/** A stretch of audio as one `response.output_audio.delta` carries it. */
export interface AudioPiece {
  durationMs: number;
  base64: string;
}

/** Something spoken: its words and its audio, cut into deltas. */
export interface Speech {
  text: string;
  durationMs: number;
  pieces: readonly AudioPiece[];
}

/** Lengths of the first deltas of a reply in recorded sessions; from there on they are of the last length. */
const PIECE_MS = [100, 150, 250, 250, 250, 600];

/** Audio cut into deltas as the service cuts it; the last one is what remains. */
export function piecesOf(bytes: Uint8Array, codec: Codec): AudioPiece[] {
  const pieces: AudioPiece[] = [];
  for (let from = 0; from < bytes.length; ) {
    const wantedMs = PIECE_MS[Math.min(pieces.length, PIECE_MS.length - 1)]!;
    const piece = bytes.subarray(from, from + wantedMs * codec.bytesPerMs);
    pieces.push({ durationMs: piece.length / codec.bytesPerMs, base64: encodeBase64(piece) });
    from += piece.length;
  }
  return pieces;
}

export function speechOf(text: string, bytes: Uint8Array, codec: Codec): Speech {
  return { text, durationMs: bytes.length / codec.bytesPerMs, pieces: piecesOf(bytes, codec) };
}

/** Several speeches one after another, as one. */
export function joinSpeech(parts: readonly Speech[]): Speech {
  if (parts.length === 1) return parts[0]!;
  return {
    text: parts.map(({ text }) => text).join(' '),
    durationMs: parts.reduce((sum, { durationMs }) => sum + durationMs, 0),
    pieces: parts.flatMap(({ pieces }) => pieces),
  };
}

/** The assistant's recorded lines. Each is encoded once a format, and its base64 is shared by all connections. */
export class Voice {
  readonly #lines: ReadonlyMap<string, { text: string; samples: Int16Array; sampleRateHz: number }>;
  readonly #spoken = new Map<string, Speech>();

  /** @param lines by id; mono samples */
  constructor(lines: ReadonlyMap<string, { text: string; samples: Int16Array; sampleRateHz: number }>) {
    this.#lines = lines;
  }

  has(lineId: string): boolean {
    return this.#lines.has(lineId);
  }

  /** The id of the line with this text, whatever its case and punctuation. */
  findByText(text: string): string | undefined {
    const wanted = plain(text);
    for (const [id, line] of this.#lines) if (plain(line.text) === wanted) return id;
    return undefined;
  }

  get lineIds(): string[] {
    return [...this.#lines.keys()];
  }

  /** @throws Error when there is no such line */
  say(lineId: string, codec: Codec): Speech {
    const key = `${codec.encoding} ${lineId}`;
    let speech = this.#spoken.get(key);
    if (!speech) {
      const line = this.#lines.get(lineId);
      if (!line) throw new Error(`the script names the agent line '${lineId}', which the manifest does not have`);
      const bytes = codec.encode(resampleWhole(line.samples, line.sampleRateHz, codec.sampleRateHz));
      speech = speechOf(line.text, bytes, codec);
      this.#spoken.set(key, speech);
    }
    return speech;
  }
}

function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
