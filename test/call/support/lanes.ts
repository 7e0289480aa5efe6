import type { AudioFormat } from '../../../src/audio/codec.ts';
import type { DownlinkOutput, UplinkInput, UplinkOutput } from '../../../src/workers/audio/jobs.ts';
import type { AudioLane } from '../../../src/workers/audio/pool.ts';

/** A lane of the audio pool whose jobs are done when a test says so. */
export class ManualLane<Input, Output> {
  readonly formats: readonly (AudioFormat | undefined)[];
  readonly inputs: Input[] = [];
  readonly #waiting: PromiseWithResolvers<Output>[] = [];

  constructor(...formats: (AudioFormat | undefined)[]) {
    this.formats = formats;
  }

  get pending(): number {
    return this.#waiting.length;
  }

  passOn(): undefined {
    return undefined;
  }

  push(input: Input): Promise<Output> {
    const job = Promise.withResolvers<Output>();
    this.inputs.push(input);
    this.#waiting.push(job);
    return job.promise;
  }

  /** The pool is done with the next input. */
  finish(output: Output): void {
    this.#waiting.shift()!.resolve(output);
  }

  fail(error: Error): void {
    this.#waiting.shift()!.reject(error);
  }
}

/** Lanes as they are made, in order. */
export class ManualLanes {
  readonly downs: ManualLane<string | null, DownlinkOutput>[] = [];
  readonly ups: ManualLane<UplinkInput, UplinkOutput>[] = [];

  down(to: AudioFormat, from?: AudioFormat): AudioLane<string | null, DownlinkOutput> {
    const lane = new ManualLane<string | null, DownlinkOutput>(to, from);
    this.downs.push(lane);
    return lane as unknown as AudioLane<string | null, DownlinkOutput>;
  }

  up(format?: AudioFormat): AudioLane<UplinkInput, UplinkOutput> {
    const lane = new ManualLane<UplinkInput, UplinkOutput>(format);
    this.ups.push(lane);
    return lane as unknown as AudioLane<UplinkInput, UplinkOutput>;
  }
}

/** So many frames, each four characters that say which it is. */
export function frames(name: string, count: number, paddedMs = 0): DownlinkOutput {
  const base64 = Array.from({ length: count }, (_, index) => `${name}${String(index).padStart(4 - name.length, '0')}`);
  return { ok: true, base64: base64.join(''), frameCount: count, paddedMs };
}

/** Lets everything run that waits for nothing but its turn. */
export async function turns(): Promise<void> {
  for (let count = 0; count < 100; count++) await Promise.resolve();
}
