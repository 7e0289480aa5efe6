import { joined } from './uploader.ts';

const HEADER_BYTES = 44;

/** Both sides of a call as they were at this end: the caller left, the agent right. */
export class Recording {
  readonly #sampleRateHz: number;
  readonly #caller: Int16Array[] = [];
  readonly #agent: Int16Array[] = [];

  constructor(sampleRateHz: number) {
    this.#sampleRateHz = sampleRateHz;
  }

  /** @param agent what was played while `caller` was recorded: as long */
  add(caller: Int16Array, agent: Int16Array): void {
    this.#caller.push(caller);
    this.#agent.push(agent);
  }

  get lengthMs(): number {
    return (this.#caller.reduce((sum, { length }) => sum + length, 0) / this.#sampleRateHz) * 1000;
  }

  /** A WAV file. */
  toBlob(): Blob {
    const caller = joined(this.#caller);
    const agent = joined(this.#agent);
    const bytes = caller.length * 4;
    const view = new DataView(new ArrayBuffer(HEADER_BYTES + bytes));
    const text = (at: number, word: string) => {
      for (let i = 0; i < word.length; i++) view.setUint8(at + i, word.charCodeAt(i));
    };
    text(0, 'RIFF');
    view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
    text(8, 'WAVEfmt ');
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 2, true);
    view.setUint32(24, this.#sampleRateHz, true);
    view.setUint32(28, this.#sampleRateHz * 4, true);
    view.setUint16(32, 4, true);
    view.setUint16(34, 16, true);
    text(36, 'data');
    view.setUint32(40, bytes, true);
    for (let i = 0; i < caller.length; i++) {
      view.setInt16(HEADER_BYTES + i * 4, caller[i]!, true);
      view.setInt16(HEADER_BYTES + i * 4 + 2, agent[i]!, true);
    }
    return new Blob([view.buffer], { type: 'audio/wav' });
  }
}
