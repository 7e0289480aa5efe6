import { JitterBuffer } from './jitter-buffer.ts';
import {
  BLOCK_MS,
  PROCESSOR_NAME,
  type TelephoneBlock,
  type TelephoneOptions,
  type ToTelephone,
} from './processor-messages.ts';

// What an AudioWorklet has around it; the types of the DOM do not know this scope.
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

/** Both ways of a telephone on the audio thread, and so on one clock: what is recorded lies beside what was played. */
class Telephone extends AudioWorkletProcessor {
  readonly #buffer: JitterBuffer;
  #file: Int16Array | undefined;
  #fileAt = 0;
  #caller = new Int16Array(blockSamples());
  #agent = new Int16Array(blockSamples());
  #filled = 0;
  #quantum = new Int16Array(128);

  constructor({ processorOptions }: { processorOptions: TelephoneOptions }) {
    super();
    this.#buffer = new JitterBuffer({ sampleRateHz: sampleRate, ...processorOptions });
    this.port.onmessage = ({ data }: MessageEvent<ToTelephone>) => {
      if (data.type === 'play') this.#buffer.push(data.samples);
      else if (data.type === 'end') this.#buffer.end();
      else {
        this.#file = data.samples;
        this.#fileAt = 0;
      }
    };
  }

  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const output = outputs[0]![0]!;
    const { length } = output;
    if (this.#quantum.length !== length) this.#quantum = new Int16Array(length);
    const played = this.#quantum;
    this.#buffer.pull(played);
    const microphone = this.#file ? undefined : inputs[0]?.[0];
    for (let i = 0; i < length; i++) {
      output[i] = played[i]! / 32_768;
      this.#agent[this.#filled] = played[i]!;
      this.#caller[this.#filled] = this.#file
        ? (this.#file[this.#fileAt++] ?? 0)
        : Math.round(Math.max(-1, Math.min(1, microphone?.[i] ?? 0)) * 32_767);
      this.#filled += 1;
      if (this.#filled === this.#caller.length) this.#tell();
    }
    return true;
  }

  #tell(): void {
    const block: TelephoneBlock = {
      caller: this.#caller,
      agent: this.#agent,
      heldMs: this.#buffer.heldMs,
      underruns: this.#buffer.underruns,
      isFileOver: this.#file !== undefined && this.#fileAt >= this.#file.length,
    };
    this.port.postMessage(block, [this.#caller.buffer, this.#agent.buffer]);
    this.#caller = new Int16Array(blockSamples());
    this.#agent = new Int16Array(blockSamples());
    this.#filled = 0;
  }
}

function blockSamples(): number {
  return Math.round((sampleRate * BLOCK_MS) / 1000);
}

registerProcessor(PROCESSOR_NAME, Telephone);
