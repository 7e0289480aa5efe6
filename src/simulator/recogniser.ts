import { resampleWhole } from '../audio/resampler.ts';
import type { Codec } from './format.ts';
import {
  ENVELOPE_RATE_HZ,
  type Envelope,
  envelopeOf,
  Field,
  FRAME_MS,
  type Pattern,
  patternOf,
  trim,
} from './spectrum.ts';

/** A recording to recognise later. */
export interface Template {
  text: string;
  envelope: Envelope;
  pattern: Pattern;
}

/** Below this an utterance is none of the known ones. Different sentences reach 0.52, the same one in noise 0.8. */
const THRESHOLD = 0.65;

/** A shorter stretch is more easily alike. */
const FRAGMENT_THRESHOLD = 0.8;

const MIN_FRAGMENT_FRAMES = 400 / FRAME_MS;

/** So much of a recording may lie outside the utterance: detectors cut off soft beginnings and ends. */
const MAX_MARGIN_FRAMES = 600 / FRAME_MS;

/** Words that were found, and the frames of the utterance they cover. */
interface Match {
  text: string;
  score: number;
  from: number;
  to: number;
}

/**
 * Tells which known recordings an utterance is, by comparing how the loudness of its bands moves. Resampling, G.711 and
 * moderate noise leave that alone. It knows recordings, not language: anything else is unrecognised speech.
 */
export class Recogniser {
  readonly #templates: readonly Template[];

  constructor(templates: readonly Template[]) {
    this.#templates = templates;
  }

  /**
   * @returns the text of the recording, the texts of several that follow each other, part of one, or a note such as
   *   `(unrecognised speech, 1.9 s)`
   */
  recognise(codec: Codec, audio: Uint8Array): string {
    const samples = resampleWhole(codec.decode(audio), codec.sampleRateHz, ENVELOPE_RATE_HZ);
    const matches = this.match(samples);
    if (matches.length > 0) return matches.map(({ text }) => text).join(' ');
    return `(unrecognised speech, ${(audio.length / codec.bytesPerMs / 1000).toFixed(1)} s)`;
  }

  /** The recordings found in 8 kHz samples, in the order in which they were spoken. */
  match(samples: Int16Array): { text: string; score: number }[] {
    const utterance = envelopeOf(samples);
    if (utterance.frames === 0) return [];
    const field = new Field(utterance, MAX_MARGIN_FRAMES);
    const whole = this.#templates.flatMap(({ text, pattern }): Match[] => {
      const { score, from } = field.find(pattern);
      return score < THRESHOLD ? [] : [{ text, score, from, to: from + pattern.frames }];
    });
    const found = whole.length > 0 ? whole : this.#fragment(utterance);
    const chosen: Match[] = [];
    for (const candidate of found.sort((left, right) => right.score - left.score)) {
      if (!chosen.some((other) => overlaps(candidate, other))) chosen.push(candidate);
    }
    return chosen.sort((left, right) => left.from - right.from).map(({ text, score }) => ({ text, score }));
  }

  /** The utterance as part of a recording: where a pause ends a turn, a sentence comes in pieces. */
  #fragment(utterance: Envelope): Match[] {
    const spoken = trim(utterance);
    if (spoken.frames < MIN_FRAGMENT_FRAMES) return [];
    const pattern = patternOf(spoken);
    return this.#templates.flatMap(({ text, envelope }): Match[] => {
      if (envelope.frames <= spoken.frames) return [];
      const { score, from } = new Field(envelope, 0).find(pattern);
      if (score < FRAGMENT_THRESHOLD) return [];
      const words = text.split(' ');
      const at = (frame: number) => Math.round((words.length * frame) / envelope.frames);
      const part = words.slice(at(from), Math.max(at(from) + 1, at(from + spoken.frames)));
      return [{ text: part.join(' '), score, from: 0, to: utterance.frames }];
    });
  }
}

/** Two matches that share more than a fifth of the shorter one are about the same words. */
function overlaps(left: Match, right: Match): boolean {
  const shared = Math.min(left.to, right.to) - Math.max(left.from, right.from);
  return shared > 0.2 * Math.min(left.to - left.from, right.to - right.from);
}

/** A template from samples of any rate, without the silence around the words. */
export function templateOf(text: string, samples: Int16Array, sampleRateHz: number): Template {
  const envelope = trim(envelopeOf(resampleWhole(samples, sampleRateHz, ENVELOPE_RATE_HZ)));
  return { text, envelope, pattern: patternOf(envelope) };
}
