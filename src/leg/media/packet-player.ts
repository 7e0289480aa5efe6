import { type AudioFormat, bytesPerMs, silenceByte } from '../../audio/codec.ts';
import { type OnTime, PacketClock } from './packet-clock.ts';

export interface PacketPlayerOptions {
  readonly format: AudioFormat;
  /** What a packet plays for: what the switch sends, it expects. */
  readonly packetMs: number;
  /** How much may wait to be played before silence is left out to catch up. */
  readonly targetMs: number;
  readonly send: (packet: Uint8Array) => void;
  /** A packet went out `lateMs` behind its time. */
  readonly onSent: (lateMs: number) => void;
  /** There was nothing to send in the midst of speech. */
  readonly onGap: () => void;
}

/** After a stall, audio whose time has gone by: as much as a telephone's own reserve takes at once. The rest waits. */
const MAX_AT_ONCE_MS = 80;
/** Audio that may wait in all. A gateway that sends more has lost its clock, and the oldest goes. */
const MAX_WAITING_MS = 5_000;

/**
 * What the caller hears: a packet every `packetMs` on an absolute schedule, silence where nothing has come. What comes
 * late makes the next come later, and silence between words makes up for it.
 */
export class PacketPlayer implements OnTime {
  dueMs: number;
  readonly #options: PacketPlayerOptions;
  readonly #packetBytes: number;
  readonly #targetBytes: number;
  readonly #maxBytes: number;
  readonly #silence: Uint8Array;
  #pieces: Uint8Array[] = [];
  /** How much of the first piece has been played. */
  #offset = 0;
  #bytes = 0;
  #hasSpoken = false;
  #onDrained: (() => void) | undefined;

  constructor(options: PacketPlayerOptions, nowMs: number) {
    this.#options = options;
    const { format, packetMs, targetMs } = options;
    const msBytes = bytesPerMs(format);
    this.#packetBytes = packetMs * msBytes;
    this.#targetBytes = targetMs * msBytes;
    this.#maxBytes = MAX_WAITING_MS * msBytes;
    this.#silence = new Uint8Array(this.#packetBytes).fill(silenceByte(format.encoding));
    this.dueMs = PacketClock.next(nowMs, packetMs);
  }

  /** Milliseconds that wait to be played. */
  get waitingMs(): number {
    return this.#bytes / bytesPerMs(this.#options.format);
  }

  /** Takes audio, in any cut. It is kept as it is. */
  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    while (this.#bytes > this.#maxBytes) this.#take();
  }

  /** Calls `done` when what waits now and comes until then has been played. */
  drained(done: () => void): void {
    this.#onDrained = done;
  }

  /** Forgets what waits. */
  flush(): void {
    this.#pieces = [];
    this.#offset = 0;
    this.#bytes = 0;
  }

  onTime(nowMs: number): void {
    const { packetMs, send, onSent } = this.#options;
    // Times that went by long ago are no schedule's any more.
    const missed = Math.floor((nowMs - this.dueMs) / packetMs) + 1 - Math.ceil(MAX_AT_ONCE_MS / packetMs);
    if (missed > 0) this.dueMs += missed * packetMs;
    for (; this.dueMs <= nowMs; this.dueMs += packetMs) {
      send(this.#next());
      onSent(nowMs - this.dueMs);
    }
  }

  #next(): Uint8Array {
    // A packet of silence more than is wanted is one that need not be heard.
    while (this.#bytes >= this.#targetBytes + this.#packetBytes && this.#isSilenceNext()) this.#take();
    if (this.#bytes >= this.#packetBytes) {
      const packet = this.#take();
      this.#hasSpoken = !this.#isSilence(packet);
      return packet;
    }
    const isLast = this.#onDrained !== undefined;
    if (isLast) {
      const packet = this.#bytes > 0 ? this.#take() : this.#silence;
      const done = this.#bytes === 0 && packet === this.#silence ? this.#onDrained : undefined;
      if (done) {
        this.#onDrained = undefined;
        done();
      }
      return packet;
    }
    if (this.#hasSpoken) {
      this.#hasSpoken = false;
      this.#options.onGap();
    }
    return this.#silence;
  }

  #isSilenceNext(): boolean {
    const first = this.#pieces[0]!;
    const end = Math.min(first.length, this.#offset + this.#packetBytes);
    if (!this.#isSilence(first.subarray(this.#offset, end))) return false;
    const missing = this.#packetBytes - (end - this.#offset);
    return missing === 0 || this.#isSilence(this.#pieces[1]!.subarray(0, missing));
  }

  #isSilence(bytes: Uint8Array): boolean {
    const silence = this.#silence[0]!;
    for (const byte of bytes) if (byte !== silence) return false;
    return true;
  }

  /** The next packet, filled up with silence where there is not enough. */
  #take(): Uint8Array {
    const first = this.#pieces[0]!;
    const end = this.#offset + this.#packetBytes;
    if (end <= first.length) {
      const packet = first.subarray(this.#offset, end);
      this.#advance(this.#packetBytes);
      return packet;
    }
    const packet = new Uint8Array(this.#silence);
    let filled = 0;
    while (filled < packet.length && this.#pieces.length > 0) {
      const part = this.#pieces[0]!.subarray(this.#offset, this.#offset + packet.length - filled);
      packet.set(part, filled);
      filled += part.length;
      this.#advance(part.length);
    }
    return packet;
  }

  #advance(count: number): void {
    this.#bytes -= count;
    this.#offset += count;
    if (this.#offset < this.#pieces[0]!.length) return;
    this.#pieces.shift();
    this.#offset = 0;
  }
}
