import type { TurnDetection } from './session.ts';

/** Length of the windows whose energy decides between speech and silence. */
export const WINDOW_MS = 20;

/** So much speech in a row starts a turn: a click or a knock is shorter. */
const ONSET_WINDOWS = 3;

/** The noise floor is the quietest window of the last `FLOOR_SPANS * FLOOR_SPAN_WINDOWS` windows (3.2 s). */
const FLOOR_SPANS = 8;
const FLOOR_SPAN_WINDOWS = 20;

/** Above this level it is speech however loud the noise floor is taken to be. */
const CEILING_DBFS = -30;

const FULL_SCALE_SQUARED = 32_768 * 32_768;

/**
 * Silence after which `semantic_vad` takes a turn to be over. The service decides by what was said and waits at most
 * 8, 4 or 2 s; the simulator does not understand, so it waits a fifth of that.
 */
const SEMANTIC_SILENCE_MS = { low: 1600, medium: 800, high: 400, auto: 800 } as const;

/** What the detector needs to know of a session's `turn_detection`. */
export interface VadSettings {
  /** 0–1. 0 stands for −54 dBFS, 0.5 for −36, 1 for −18. */
  threshold: number;
  prefixPaddingMs: number;
  silenceDurationMs: number;
}

export function vadSettingsOf(detection: TurnDetection): VadSettings {
  if (detection.type === 'semantic_vad') {
    return { threshold: 0.5, prefixPaddingMs: 300, silenceDurationMs: SEMANTIC_SILENCE_MS[detection.eagerness] };
  }
  return {
    threshold: detection.threshold,
    prefixPaddingMs: detection.prefix_padding_ms,
    silenceDurationMs: detection.silence_duration_ms,
  };
}

function powerOf(dbfs: number): number {
  return FULL_SCALE_SQUARED * 10 ** (dbfs / 10);
}

/**
 * Voice activity by energy, over windows of 20 ms: speech is what is louder than the threshold and than the noise floor
 * by a margin (6 dB at threshold 0, 18 dB at 1). The floor follows the quietest moments of the last seconds, so steady
 * noise stops being speech within that time, unless it is louder than −30 dBFS.
 */
export class Vad {
  #settings: VadSettings;
  #thresholdPower = 0;
  #marginFactor = 0;
  readonly #ceilingPower = powerOf(CEILING_DBFS);
  readonly #floors = new Float64Array(FLOOR_SPANS).fill(Number.POSITIVE_INFINITY);
  #window = 0;
  #floor = Number.POSITIVE_INFINITY;
  #isSpeaking = false;
  #run = 0;

  constructor(settings: VadSettings) {
    this.#settings = settings;
    this.configure(settings);
  }

  get isSpeaking(): boolean {
    return this.#isSpeaking;
  }

  get settings(): VadSettings {
    return this.#settings;
  }

  configure(settings: VadSettings): void {
    this.#settings = settings;
    this.#thresholdPower = powerOf(-54 + 36 * settings.threshold);
    this.#marginFactor = 10 ** ((6 + 12 * settings.threshold) / 10);
  }

  /** Forgets a turn that has begun, as when the buffer is cleared. The noise floor stays. */
  reset(): void {
    this.#isSpeaking = false;
    this.#run = 0;
  }

  /**
   * Takes the next window.
   * @param power mean square of its samples, in units of 16-bit samples
   * @returns `started` with how long ago speech began, `stopped`, or nothing
   */
  next(power: number): { kind: 'started'; agoMs: number } | { kind: 'stopped' } | undefined {
    const isLoud = power > this.#limit(power);
    if (this.#isSpeaking) {
      this.#run = isLoud ? 0 : this.#run + 1;
      if (this.#run * WINDOW_MS < this.#settings.silenceDurationMs || isLoud) return undefined;
      this.reset();
      return { kind: 'stopped' };
    }
    this.#run = isLoud ? this.#run + 1 : 0;
    if (this.#run < ONSET_WINDOWS) return undefined;
    this.#isSpeaking = true;
    this.#run = 0;
    return { kind: 'started', agoMs: ONSET_WINDOWS * WINDOW_MS };
  }

  /** The power that a window has to exceed, after the floor has learnt from this one. */
  #limit(power: number): number {
    const span = Math.floor(this.#window / FLOOR_SPAN_WINDOWS) % FLOOR_SPANS;
    if (this.#window % FLOOR_SPAN_WINDOWS === 0) {
      this.#floors[span] = power;
      this.#floor = Math.min(...this.#floors);
    } else if (power < this.#floors[span]!) {
      this.#floors[span] = power;
      if (power < this.#floor) this.#floor = power;
    }
    this.#window += 1;
    return Math.max(this.#thresholdPower, Math.min(this.#floor * this.#marginFactor, this.#ceilingPower));
  }
}
