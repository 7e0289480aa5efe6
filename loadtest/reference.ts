/** Length of an envelope's step. */
const STEP_MS = 5;
/** Places whose envelope fits best; each is looked at sample by sample. */
const CANDIDATES = 6;
/** Loud samples that the fine comparison takes. */
const FINE_SAMPLES = 512;
/** The envelope of what is looked for is taken from so many beginnings within a step: the loop's fits one of them. */
const PHASES = 4;
/** Quieter than this (RMS, of 32767) is silence, which is alike everywhere. */
const SILENCE_RMS = 4;

/** Where a stretch of audio was found. */
export interface Place {
  /** Sample of the loop that the stretch begins at. */
  readonly at: number;
  /** How alike they are: 1 for the same shape. */
  readonly correlation: number;
}

/** A recording played over and over: what a caller sends, and so what it should hear. */
export class Reference {
  readonly samples: Int16Array;
  readonly #step: number;
  readonly #envelope: Float64Array;

  /** @param samples one round; the first sample follows the last */
  constructor(samples: Int16Array, sampleRateHz: number) {
    this.samples = samples;
    this.#step = Math.round((sampleRateHz * STEP_MS) / 1000);
    this.#envelope = envelopeOf(samples, this.#step);
  }

  get length(): number {
    return this.samples.length;
  }

  /** How alike `heard` and the loop from `at` on are: their normalised correlation, −1 to 1. Silence is like silence. */
  correlationAt(heard: Int16Array, at: number): number {
    const { samples } = this;
    let from = wrap(at, samples.length);
    let product = 0;
    let ours = 0;
    let theirs = 0;
    for (let i = 0; i < heard.length; i++) {
      const x = heard[i]!;
      const y = samples[from]!;
      product += x * y;
      ours += y * y;
      theirs += x * x;
      if (++from === samples.length) from = 0;
    }
    // Below an RMS of 2, rounding is as loud as the signal.
    const floor = heard.length * 4;
    if (ours < floor && theirs < floor) return 1;
    if (ours === 0 || theirs === 0) return 0;
    // A correlation does not see loudness, and audio at half its level is not what was sent.
    const ratio = theirs / ours;
    return ratio > 4 || ratio < 0.25 ? 0 : product / Math.sqrt(ours * theirs);
  }

  /** Whether `heard` is the loop from `at` on, sample for sample. */
  equalsAt(heard: Int16Array, at: number): boolean {
    const { samples } = this;
    let from = wrap(at, samples.length);
    for (let i = 0; i < heard.length; i++) {
      if (heard[i] !== samples[from]) return false;
      if (++from === samples.length) from = 0;
    }
    return true;
  }

  /**
   * Looks for `heard` at whole multiples of these steps before and after `at`, the nearest first: audio is lost and
   * doubled by the chunk and by the frame.
   * @param reach how many multiples of each step
   * @returns the distance from `at`; undefined: it is not there
   */
  nearby(heard: Int16Array, at: number, steps: readonly number[], reach: number, alike: number): number | undefined {
    const loudest = loudestStretch(heard, Math.min(FINE_SAMPLES, heard.length));
    const stretch = heard.subarray(loudest, loudest + FINE_SAMPLES);
    for (let multiple = 1; multiple <= reach; multiple++) {
      for (const step of steps) {
        for (const distance of [multiple * step, -multiple * step]) {
          if (this.correlationAt(stretch, at + distance + loudest) < alike) continue;
          if (this.correlationAt(heard, at + distance) >= alike) return distance;
        }
      }
    }
    return undefined;
  }

  /**
   * Finds `heard` anywhere in the loop, which takes some milliseconds: first by how its loudness moves, then sample by sample where that fits best.
   * @param heard at least 100 ms
   * @returns undefined when it is too quiet to tell
   */
  locate(heard: Int16Array): Place | undefined {
    if (isSilence(heard)) return undefined;
    const loudest = loudestStretch(heard, Math.min(FINE_SAMPLES, heard.length));
    const stretch = heard.subarray(loudest, loudest + FINE_SAMPLES);
    let best: Place | undefined;
    for (const centre of this.#likelyPlaces(heard)) {
      for (let at = centre - this.#step; at <= centre + this.#step; at++) {
        const correlation = this.correlationAt(stretch, at + loudest);
        if (!best || correlation > best.correlation) best = { at: wrap(at, this.length), correlation };
      }
    }
    return best;
  }

  /** Places in the loop whose envelope is most like that of `heard`, to within a step. */
  #likelyPlaces(heard: Int16Array): number[] {
    const best: { at: number; score: number }[] = [];
    for (let phase = 0; phase < PHASES; phase++) {
      const offset = Math.round((phase * this.#step) / PHASES);
      const pattern = envelopeOf(heard.subarray(offset), this.#step);
      for (const [step, score] of this.#scores(pattern).entries()) {
        if (best.length === CANDIDATES && score <= best[CANDIDATES - 1]!.score) continue;
        best.push({ at: step * this.#step - offset, score });
        best.sort((a, b) => b.score - a.score);
        if (best.length > CANDIDATES) best.pop();
      }
    }
    return best.map(({ at }) => at);
  }

  /** How alike the pattern and the envelope are from each step on, up to a common factor. */
  #scores(pattern: Float64Array): Float64Array {
    const envelope = this.#envelope;
    const patternMean = mean(pattern);
    const centred = pattern.map((value) => value - patternMean);
    return Float64Array.from(envelope, (_, step) => {
      let product = 0;
      let sum = 0;
      let squares = 0;
      let at = step;
      for (let i = 0; i < centred.length; i++) {
        const y = envelope[at]!;
        product += centred[i]! * y;
        sum += y;
        squares += y * y;
        if (++at === envelope.length) at = 0;
      }
      const variance = squares - (sum * sum) / centred.length;
      return variance > 0 ? product / Math.sqrt(variance) : 0;
    });
  }
}

/** `at` brought into 0 ≤ at < length. */
export function wrap(at: number, length: number): number {
  const rest = at % length;
  return rest < 0 ? rest + length : rest;
}

/** Loudness of each step of samples, on a scale where quiet parts count. */
function envelopeOf(samples: Int16Array, step: number): Float64Array {
  const envelope = new Float64Array(Math.floor(samples.length / step));
  for (let i = 0; i < envelope.length; i++) {
    let energy = 0;
    for (let at = i * step; at < (i + 1) * step; at++) energy += samples[at]! ** 2;
    envelope[i] = Math.log(energy / step + 1);
  }
  return envelope;
}

/** Start of the loudest `length` samples, in steps of a quarter of them. */
function loudestStretch(samples: Int16Array, length: number): number {
  let best = 0;
  let bestEnergy = -1;
  for (let from = 0; from + length <= samples.length; from += length >> 2) {
    let energy = 0;
    for (let i = from; i < from + length; i++) energy += samples[i]! ** 2;
    if (energy > bestEnergy) {
      best = from;
      bestEnergy = energy;
    }
  }
  return best;
}

/** Whether there is nothing in it that could be told from anything else. */
export function isSilence(samples: Int16Array): boolean {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return energy < SILENCE_RMS ** 2 * samples.length;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
