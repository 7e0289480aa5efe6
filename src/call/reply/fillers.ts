import { readFile } from 'node:fs/promises';
import type { AudioFormat } from '../../audio/codec.ts';
import { writeWav } from '../../audio/wav.ts';
import type { AudioPool } from '../../workers/audio/pool.ts';
import { framesOf, type ReplyFrame } from './downlink.ts';

/** As telephones announce a recording: 1400 Hz for a fifth of a second. */
const BEEP_HZ = 1_400;
const BEEP_MS = 200;
const BEEP_RAMP_MS = 10;
const BEEP_PEAK = 6_000;
const BEEP_RATE_HZ = 16_000;

/** Filler files as frames, each read and converted once a format. */
export class Fillers {
  readonly #pool: AudioPool;
  readonly #frames = new Map<string, Promise<readonly ReplyFrame[]>>();

  constructor(pool: AudioPool) {
    this.#pool = pool;
  }

  /**
   * The frames of a WAV file in a call's format.
   * @throws {Error} when the file cannot be read, naming it; the next call tries again
   */
  load(file: string, format: AudioFormat): Promise<readonly ReplyFrame[]> {
    return this.#once(file, format, () => readFile(file));
  }

  /** The tone that tells a caller that the call is recorded. */
  beep(format: AudioFormat): Promise<readonly ReplyFrame[]> {
    return this.#once('the beep', format, async () => writeWav(beepSamples(), BEEP_RATE_HZ));
  }

  #once(name: string, format: AudioFormat, wav: () => Promise<Uint8Array>): Promise<readonly ReplyFrame[]> {
    const key = `${format.encoding} ${format.sampleRateHz} ${name}`;
    let frames = this.#frames.get(key);
    if (!frames) {
      frames = this.#framesOf(name, wav(), format);
      this.#frames.set(key, frames);
      frames.catch(() => this.#frames.delete(key));
    }
    return frames;
  }

  async #framesOf(name: string, wav: Promise<Uint8Array>, call: AudioFormat): Promise<readonly ReplyFrame[]> {
    const output = await this.#pool.fileLane({ kind: 'file', call }).push(await wav);
    if (!output.ok) throw new Error(`${name} cannot be played: ${output.message}`);
    return framesOf(output);
  }
}

function beepSamples(): Int16Array {
  const count = (BEEP_RATE_HZ * BEEP_MS) / 1000;
  const ramp = (BEEP_RATE_HZ * BEEP_RAMP_MS) / 1000;
  return Int16Array.from({ length: count }, (_, at) => {
    // A tone that is switched on at once clicks.
    const gain = Math.min(1, at / ramp, (count - at) / ramp);
    return Math.round(BEEP_PEAK * gain * Math.sin((2 * Math.PI * BEEP_HZ * at) / BEEP_RATE_HZ));
  });
}
