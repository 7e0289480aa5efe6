import { readFile } from 'node:fs/promises';
import type { AudioFormat } from '../../audio/codec.ts';
import type { AudioPool } from '../../workers/audio/pool.ts';
import { framesOf, type ReplyFrame } from './downlink.ts';

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
    const key = `${format.encoding} ${format.sampleRateHz} ${file}`;
    let frames = this.#frames.get(key);
    if (!frames) {
      frames = this.#read(file, format);
      this.#frames.set(key, frames);
      frames.catch(() => this.#frames.delete(key));
    }
    return frames;
  }

  async #read(file: string, call: AudioFormat): Promise<readonly ReplyFrame[]> {
    const output = await this.#pool.fileLane({ kind: 'file', call }).push(await readFile(file));
    if (!output.ok) throw new Error(`${file} cannot be played: ${output.message}`);
    return framesOf(output);
  }
}
