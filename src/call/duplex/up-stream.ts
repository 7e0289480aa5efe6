import type { AudioFormat, DeclaredAudio } from '../../audio/codec.ts';
import { monotonicNowMs } from '../../clock.ts';
import type { CallObserver } from '../record/observer.ts';
import type { Uplink, UplinkStream } from '../up/uplink.ts';
import { Intake } from './intake.ts';
import { Metronome, type OnBeat } from './metronome.ts';

/** What a client says of the audio it streams. */
export interface UpStreamRequest {
  readonly format: AudioFormat;
  /** Samples of two bytes come with the higher one first. */
  readonly bigEndian: boolean;
  /** How often what has come is passed on: a multiple of 20 ms. */
  readonly tickMs: number;
}

/** The client's end of a way up, as the call sees it. */
export interface AudioSender {
  /** It is read no further, until `resume`: the network holds it back. */
  pause(): void;
  resume(): void;
  /** It sends faster than anybody speaks: it is cut off. */
  cutOff(): void;
  /** Another stream has its place. */
  replaced(): void;
}

/** One connection's way up: gathers what a client streams, and passes it on with that of all others, on the beat. */
export class UpStream implements OnBeat {
  readonly #tickMs: number;
  readonly #intake: Intake;
  readonly #uplink: UplinkStream;
  readonly #sender: AudioSender;
  readonly #observer: CallObserver;
  readonly #metronome: Metronome;
  #receivedAtMs = monotonicNowMs();
  #isPaused = false;
  #closed = false;

  constructor(
    { format, bigEndian, tickMs }: UpStreamRequest,
    sender: AudioSender,
    { uplink, observer, metronome }: { uplink: Uplink; observer: CallObserver; metronome: Metronome },
  ) {
    this.#tickMs = tickMs;
    this.#sender = sender;
    this.#observer = observer;
    this.#metronome = metronome;
    this.#intake = new Intake(format);
    const declared: DeclaredAudio = { kind: format.encoding, ...(bigEndian ? { bigEndian } : {}) };
    this.#uplink = uplink.stream(format, declared);
    observer.streamOpened('up', { encoding: format.encoding });
    metronome.add(this);
  }

  /** When audio came last, or else when it was opened. */
  get receivedAtMs(): number {
    return this.#receivedAtMs;
  }

  /** Milliseconds of audio that came in all. */
  get totalMs(): number {
    return this.#intake.totalMs;
  }

  /** Takes bytes in, in any cut; they are kept as they are for a moment. */
  receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#receivedAtMs = monotonicNowMs();
    if (!this.#intake.push(bytes, this.#receivedAtMs)) {
      this.#observer.streamTooFast();
      this.close();
      this.#sender.cutOff();
      return;
    }
    if (this.#intake.isFull && !this.#isPaused) {
      this.#isPaused = true;
      this.#sender.pause();
    }
  }

  beat(beatMs: number): void {
    if (Metronome.isMultiple(beatMs, this.#tickMs)) this.#pass();
  }

  /** Passes on what is left; what still comes is forgotten. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#pass();
    this.#closed = true;
    this.#metronome.remove(this);
    this.#observer.streamClosed('up');
  }

  /** The call goes on elsewhere. */
  breakOff(): void {
    if (this.#closed) return;
    this.close();
    this.#sender.cutOff();
  }

  /** Another stream takes its place. */
  replace(): void {
    if (this.#closed) return;
    this.close();
    this.#sender.replaced();
  }

  #pass(): void {
    if (!this.#uplink.hasRoom) return;
    const chunk = this.#intake.take();
    if (chunk) this.#uplink.push(chunk.bytes, chunk.receivedAtMs);
    if (!this.#isPaused || this.#intake.isFull) return;
    this.#isPaused = false;
    this.#sender.resume();
  }
}
