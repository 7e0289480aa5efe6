import { transform } from '../audio/fft.ts';

/** Spectral envelopes for comparing utterances: how loud each of a few bands of telephone speech is, every 20 ms. */

/** The rate that {@link envelopeOf} wants. */
export const ENVELOPE_RATE_HZ = 8000;
export const FRAME_MS = 20;

const HOP = (ENVELOPE_RATE_HZ * FRAME_MS) / 1000;
const SIZE = 256;
/** Edges of the bands, in Hz: what survives a telephone line. */
const EDGES_HZ = [280, 420, 560, 740, 980, 1280, 1680, 2200, 2800, 3400];
export const BANDS = EDGES_HZ.length - 1;

/** Levels further below the loudest are raised to that floor, so that silence and faint noise look alike. */
const RANGE_DB = 35;

/** `BANDS` levels a frame, in dB, one frame after another. */
export interface Envelope {
  frames: number;
  levels: Float32Array;
}

const hann = Float64Array.from({ length: SIZE }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / (SIZE - 1)));
const edges = EDGES_HZ.map((hz) => Math.round((hz * SIZE) / ENVELOPE_RATE_HZ));

/** The envelope of 8 kHz samples. */
export function envelopeOf(samples: Int16Array): Envelope {
  const frames = Math.max(0, Math.floor((samples.length - SIZE) / HOP) + 1);
  const levels = new Float32Array(frames * BANDS);
  const re = new Float64Array(SIZE);
  const im = new Float64Array(SIZE);
  // Two frames travel in one complex transform, as its real and its imaginary part.
  for (let frame = 0; frame < frames; frame += 2) {
    fill(re, samples, frame * HOP);
    fill(im, samples, (frame + 1) * HOP);
    transform(re, im);
    for (let band = 0; band < BANDS; band++) {
      let power = 4;
      let nextPower = 4;
      for (let k = edges[band]!; k < edges[band + 1]!; k++) {
        const mirror = SIZE - k;
        power += (re[k]! + re[mirror]!) ** 2 + (im[k]! - im[mirror]!) ** 2;
        nextPower += (im[k]! + im[mirror]!) ** 2 + (re[k]! - re[mirror]!) ** 2;
      }
      levels[frame * BANDS + band] = 10 * Math.log10(power / 4);
      if (frame + 1 < frames) levels[(frame + 1) * BANDS + band] = 10 * Math.log10(nextPower / 4);
    }
  }
  raiseTo(levels, loudestOf(levels) - RANGE_DB);
  return { frames, levels };
}

function fill(part: Float64Array, samples: Int16Array, from: number): void {
  for (let n = 0; n < SIZE; n++) part[n] = (samples[from + n] ?? 0) * hann[n]!;
}

function loudestOf(levels: Float32Array): number {
  let loudest = Number.NEGATIVE_INFINITY;
  for (const level of levels) if (level > loudest) loudest = level;
  return loudest;
}

function raiseTo(levels: Float32Array, floor: number): void {
  for (let i = 0; i < levels.length; i++) if (levels[i]! < floor) levels[i] = floor;
}

/** The lowest level in an envelope. */
export function floorOf({ levels }: Envelope): number {
  let floor = Number.POSITIVE_INFINITY;
  for (const level of levels) if (level < floor) floor = level;
  return floor;
}

/** Frames `from` up to `to`. */
export function cut({ levels }: Envelope, from: number, to: number): Envelope {
  return { frames: to - from, levels: levels.slice(from * BANDS, to * BANDS) };
}

/** The envelope without what is quiet at both ends, but for 40 ms. */
export function trim(envelope: Envelope): Envelope {
  const limit = floorOf(envelope) + 6;
  const isQuiet = (frame: number) =>
    envelope.levels.subarray(frame * BANDS, (frame + 1) * BANDS).every((level) => level <= limit);
  const keep = 40 / FRAME_MS;
  let first = 0;
  let last = envelope.frames;
  while (first < last && isQuiet(first)) first += 1;
  while (last > first && isQuiet(last - 1)) last -= 1;
  return cut(envelope, Math.max(0, first - keep), Math.min(envelope.frames, last + keep));
}

/** An envelope to look for: each band about its own mean, so that loudness and the line's filter do not matter. */
export interface Pattern {
  frames: number;
  deviations: Float32Array;
  /** Root of the sum of squares of all deviations. */
  norm: number;
}

export function patternOf({ frames, levels }: Envelope): Pattern {
  const deviations = new Float32Array(levels.length);
  let squares = 0;
  for (let band = 0; band < BANDS; band++) {
    let sum = 0;
    for (let i = band; i < levels.length; i += BANDS) sum += levels[i]!;
    const mean = sum / frames;
    for (let i = band; i < levels.length; i += BANDS) {
      deviations[i] = levels[i]! - mean;
      squares += deviations[i]! ** 2;
    }
  }
  return { frames, deviations, norm: Math.sqrt(squares) };
}

/** An envelope to look in, with as much silence around it as a pattern may protrude. */
export class Field {
  readonly margin: number;
  readonly #frames: number;
  readonly #levels: Float32Array;
  /** Sums and sums of squares of the first n frames, a pair a band. */
  readonly #sums: Float64Array;

  constructor(envelope: Envelope, margin: number) {
    this.margin = margin;
    this.#frames = envelope.frames + 2 * margin;
    this.#levels = new Float32Array(this.#frames * BANDS).fill(floorOf(envelope));
    this.#levels.set(envelope.levels, margin * BANDS);
    const width = 2 * BANDS;
    this.#sums = new Float64Array((this.#frames + 1) * width);
    for (let frame = 0; frame < this.#frames; frame++) {
      for (let band = 0; band < BANDS; band++) {
        const level = this.#levels[frame * BANDS + band]!;
        const at = frame * width + 2 * band;
        this.#sums[at + width] = this.#sums[at]! + level;
        this.#sums[at + width + 1] = this.#sums[at + 1]! + level * level;
      }
    }
  }

  /**
   * Where a pattern is most alike the field: the correlation of their levels, each band about its own mean. 1 is the
   * same, 0 is unrelated.
   * @returns `from`: the frame of the envelope where the pattern begins, negative when it protrudes
   */
  find(pattern: Pattern): { score: number; from: number } {
    const last = this.#frames - pattern.frames;
    const step = 3;
    let best = { score: Number.NEGATIVE_INFINITY, at: 0 };
    const look = (at: number) => {
      const score = this.#likeness(pattern, at);
      if (score > best.score) best = { score, at };
    };
    for (let at = 0; at <= last; at += step) look(at);
    const { at: coarse } = best;
    for (let at = Math.max(0, coarse - step + 1); at <= Math.min(last, coarse + step - 1); at++) look(at);
    return { score: best.score, from: best.at - this.margin };
  }

  #likeness({ frames, deviations, norm }: Pattern, at: number): number {
    const from = at * BANDS;
    let product = 0;
    for (let i = 0; i < deviations.length; i++) product += deviations[i]! * this.#levels[from + i]!;
    const first = at * 2 * BANDS;
    const behind = (at + frames) * 2 * BANDS;
    let squares = 0;
    for (let slot = 0; slot < 2 * BANDS; slot += 2) {
      const sum = this.#sums[behind + slot]! - this.#sums[first + slot]!;
      squares += this.#sums[behind + slot + 1]! - this.#sums[first + slot + 1]! - (sum * sum) / frames;
    }
    return squares > 1 && norm > 1 ? product / (norm * Math.sqrt(squares)) : 0;
  }
}
