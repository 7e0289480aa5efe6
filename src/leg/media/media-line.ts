import { type AudioFormat, codecOf } from '../../audio/codec.ts';
import { bytesFromPcm16, pcm16FromBytes } from '../../audio/pcm16.ts';
import { monotonicNowMs } from '../../clock.ts';
import { type MediaAddresses, MediaSocket } from './media-socket.ts';
import type { OnTime, PacketClock } from './packet-clock.ts';
import { type IntakeCounts, PacketIntake } from './packet-intake.ts';
import { PacketPlayer } from './packet-player.ts';
import type { MediaPorts, PortPair } from './ports.ts';

/** What all legs of a process share for their audio. */
export interface MediaDeps {
  readonly ports: MediaPorts;
  readonly clock: PacketClock;
  /** How late each packet went out. */
  readonly onSent: (lateMs: number) => void;
}

export interface MediaLineOptions {
  readonly addresses: MediaAddresses;
  readonly format: AudioFormat;
  /** What a packet lasts, both ways. */
  readonly packetMs: number;
  /** Audio that may wait to be played: what the gateway is ahead. */
  readonly leadMs: number;
  /** Takes what the caller says. */
  readonly hear: (audio: Uint8Array) => void;
}

/** What became of a call's audio. */
export interface MediaCounts extends Readonly<IntakeCounts> {
  readonly sent: number;
  /** Packets from a port or an address that is not the call's. */
  readonly strangers: number;
  /** Times that there was nothing to play in the midst of speech. */
  readonly gaps: number;
}

/** A thread that is later than this has stood still: it has heard nothing meanwhile. */
const STALL_MS = 20;

/** One call's audio, both ways. Whoever creates it closes it. */
export class MediaLine implements OnTime {
  readonly #deps: MediaDeps;
  readonly #addresses: MediaAddresses;
  readonly #decode: (audio: Uint8Array) => Uint8Array;
  readonly #intake: PacketIntake;
  readonly #player: PacketPlayer;
  #socket: MediaSocket | undefined;
  #strangers = 0;
  #sent = 0;
  #gaps = 0;
  #isPaused = false;
  #isClosed = false;

  constructor(deps: MediaDeps, { addresses, format, packetMs, leadMs, hear }: MediaLineOptions) {
    this.#deps = deps;
    this.#addresses = addresses;
    const { sampleRateHz } = format;
    // The switch has linear samples, the gateway what suits the AI.
    const { encode, decode } = codecOf(format.encoding);
    this.#intake = new PacketIntake({
      sampleRateHz,
      packetMs,
      take: (samples) => hear(encode(pcm16FromBytes(samples))),
    });
    this.#decode = (audio) => bytesFromPcm16(decode(audio));
    this.#player = new PacketPlayer(
      {
        format,
        packetMs,
        targetMs: leadMs + packetMs,
        send: (packet) => this.#send(packet),
        onSent: deps.onSent,
        onGap: () => {
          this.#gaps += 1;
        },
      },
      monotonicNowMs(),
    );
  }

  /**
   * Opens the call's port. Nothing is sent before `start`.
   * @throws {LegError} `no_port`
   */
  async open(): Promise<PortPair> {
    const socket = await MediaSocket.open(this.#deps.ports, this.#addresses, {
      onPacket: (bytes) => {
        if (!this.#isPaused) this.#intake.receive(bytes, monotonicNowMs());
      },
      onStranger: () => {
        this.#strangers += 1;
      },
    });
    // The call may have gone meanwhile.
    if (this.#isClosed) socket.close();
    else this.#socket = socket;
    return socket.ports;
  }

  /** The switch listens: what is to be said goes there from now on, silence included. */
  start(): void {
    if (!this.#isClosed) this.#deps.clock.add(this);
  }

  get dueMs(): number {
    return this.#player.dueMs;
  }

  onTime(nowMs: number): void {
    const lateMs = nowMs - this.#player.dueMs;
    if (!this.#isPaused) this.#intake.tick(nowMs, lateMs > STALL_MS ? lateMs : 0);
    this.#player.onTime(nowMs);
  }

  get counts(): MediaCounts {
    return { ...this.#intake.counts, sent: this.#sent, strangers: this.#strangers, gaps: this.#gaps };
  }

  /** Has the caller hear this. */
  play(audio: Uint8Array): void {
    this.#player.push(audio);
  }

  /** Resolves when what waits to be played has been. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.#player.drained(resolve));
  }

  /** The call is on hold: nobody is heard, and nobody hears. */
  pause(): void {
    this.#isPaused = true;
    this.#intake.pause();
    this.#player.flush();
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deps.clock.remove(this);
    this.#socket?.close();
  }

  #send(packet: Uint8Array): void {
    if (this.#isPaused) return;
    this.#sent += 1;
    this.#socket!.send(this.#decode(packet));
  }
}
