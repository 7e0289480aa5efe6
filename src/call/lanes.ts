import type { AudioFormat } from '../audio/codec.ts';
import type { DownlinkOutput, UplinkInput, UplinkOutput } from '../workers/audio/jobs.ts';
import type { AudioLane, AudioPool } from '../workers/audio/pool.ts';
import type { CallFormats } from './settings.ts';

/** One call's ways through the audio pool. */
export class CallLanes {
  readonly #pool: AudioPool;
  readonly #formats: CallFormats;
  readonly #measureVoice: boolean;

  /** @param measureVoice whether somebody needs to know how much of the caller's audio is loud */
  constructor(pool: AudioPool, formats: CallFormats, measureVoice: boolean) {
    this.#pool = pool;
    this.#formats = formats;
    this.#measureVoice = measureVoice;
  }

  /** For the caller's audio, which is in `call` where it does not say otherwise. */
  up(call = this.#formats.call): AudioLane<UplinkInput, UplinkOutput> {
    const { upstream } = this.#formats;
    return this.#pool.uplinkLane({ kind: 'up', call, upstream, measureVoice: this.#measureVoice });
  }

  /** For one reply: from the upstream's format, or from `from`, to `to`. */
  down(to: AudioFormat, from = this.#formats.upstream): AudioLane<string | null, DownlinkOutput> {
    return this.#pool.downlinkLane({ kind: 'down', call: to, upstream: from });
  }
}
