import { bytesPerMs } from '../../audio/codec.ts';
import type { SampleRateHz } from '../../audio/sample-rates.ts';

export interface PacketIntakeOptions {
  /** Of the samples: linear, of two bytes. */
  readonly sampleRateHz: SampleRateHz;
  /** What a packet lasts. */
  readonly packetMs: number;
  /** Takes the caller's audio, without holes. */
  readonly take: (audio: Uint8Array) => void;
}

/** What came of the caller's packets. */
export interface IntakeCounts {
  packets: number;
  /** Packets whose place was filled with silence. */
  lost: number;
  /** Packets that came when their place had been filled. */
  late: number;
  /** Packets that are no audio of this call. */
  unusable: number;
  /** Mean deviation of the distance between packets (RFC 3550, section 6.4.1), in milliseconds. */
  jitterMs: number;
}

/** The longest packet of a telephone. */
const MAX_PACKET_MS = 120;
/** After this long without a packet the caller's microphone is not heard, and silence goes on in its place. */
const PAUSE_MS = 60;
/** Packets that must come late in a row until one before them is lost. */
const SURE_AFTER = 5;

/**
 * What the caller says, as FreeSWITCH sends it: packets without a number. Time says what is missing: an AI that hears less
 * than there was would not notice the end of speech, nor a pause.
 */
export class PacketIntake {
  readonly counts: IntakeCounts = { packets: 0, lost: 0, late: 0, unusable: 0, jitterMs: 0 };
  readonly #options: PacketIntakeOptions;
  readonly #msBytes: number;
  readonly #silence: Uint8Array;
  /** When the next packet should come; undefined: none has. */
  #expectedMs: number | undefined;
  #lastAtMs = 0;
  /** Packets in a row that came a packet late. */
  #behindCount = 0;
  /** Packets whose places have been filled, and which may still come. */
  #filledAhead = 0;

  constructor(options: PacketIntakeOptions) {
    this.#options = options;
    const { sampleRateHz, packetMs } = options;
    this.#msBytes = bytesPerMs({ encoding: 'pcm16', sampleRateHz });
    this.#silence = new Uint8Array(packetMs * this.#msBytes);
  }

  /** A packet of the switch. */
  receive(bytes: Uint8Array, nowMs: number): void {
    const audio = this.#audioOf(bytes);
    if (audio === undefined) {
      this.counts.unusable += 1;
      return;
    }
    const audioMs = audio.length / this.#msBytes;
    this.counts.packets += 1;
    if (this.#expectedMs === undefined) {
      this.#expectedMs = nowMs;
    } else {
      this.counts.jitterMs += (Math.abs(nowMs - this.#lastAtMs - audioMs) - this.counts.jitterMs) / 16;
      this.#compare(nowMs - this.#expectedMs, nowMs);
    }
    this.#lastAtMs = nowMs;
    this.#expectedMs += audioMs;
    this.#options.take(audio);
  }

  /** Looks at the clock, some times a second at least. `stalledMs`: this thread stood still for so long, and heard nothing. */
  tick(nowMs: number, stalledMs: number): void {
    if (this.#expectedMs === undefined) return;
    this.#expectedMs += stalledMs;
    const missing = Math.floor((nowMs - PAUSE_MS - this.#expectedMs) / this.#options.packetMs);
    if (missing > 0) this.#fill(missing);
  }

  /** The caller is not heard for a while, as is known: nothing is missing. */
  pause(): void {
    this.#expectedMs = undefined;
  }

  #compare(behindMs: number, nowMs: number): void {
    const { packetMs } = this.#options;
    if (behindMs > 0.9 * packetMs) {
      // One packet may be late; where all that follow are, one is missing.
      this.#behindCount += 1;
      if (this.#behindCount >= SURE_AFTER) this.#fill(Math.floor(behindMs / packetMs + 0.1));
      return;
    }
    this.#behindCount = 0;
    if (behindMs < -0.9 * packetMs) {
      if (this.#filledAhead > 0) {
        this.#filledAhead -= 1;
        this.counts.late += 1;
      }
      // What comes in a heap after a stall begins a time of its own.
      this.#expectedMs = nowMs;
      return;
    }
    this.#filledAhead = 0;
    // Clocks differ a little: the schedule follows the caller's.
    this.#expectedMs! += behindMs / 50;
  }

  #fill(missing: number): void {
    for (let i = 0; i < missing; i++) this.#options.take(this.#silence);
    this.#expectedMs! += missing * this.#options.packetMs;
    this.#filledAhead += missing;
    this.counts.lost += missing;
    this.#behindCount = 0;
  }

  /** Whole samples; undefined: these bytes are none of this call's. */
  #audioOf(bytes: Uint8Array): Uint8Array | undefined {
    if (bytes.length === 0 || bytes.length > MAX_PACKET_MS * this.#msBytes || bytes.length % 2 !== 0) {
      return undefined;
    }
    return bytes;
  }
}
