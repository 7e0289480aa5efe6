import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type AudioFormat, bytesPerMs, silenceByte } from '../../src/audio/codec.ts';

const STEP_MS = 20;

export interface DuplexCallOptions {
  /** Of what is sent. */
  readonly format: AudioFormat;
  readonly contentType: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  /** `duplex` (default), or `audio` for the way down alone. */
  readonly half?: 'audio';
}

/** What came down, and when. */
export interface Arrival {
  readonly atMs: number;
  readonly bytes: Buffer;
}

/** Connections that tests have made, and may have left. */
const open = new Set<DuplexCall>();

/** Breaks every connection. */
export function hangUpAll(): void {
  for (const call of open) call.hangUp(true);
  open.clear();
}

/** A telephone: streams what its caller says, or silence, in real time, and takes what comes back. */
export class DuplexCall {
  readonly request: ClientRequest;
  readonly arrivals: Arrival[] = [];
  /** Resolves with the head of the answer. */
  readonly answered: Promise<IncomingMessage>;
  /** Resolves when the answer's body ended (true) or broke (false). */
  readonly over: Promise<boolean>;
  sentBytes = 0;
  readonly #format: AudioFormat;
  #speech: Buffer = Buffer.alloc(0);
  #startedAtMs = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(base: string, callId: string, options: DuplexCallOptions) {
    const { format, contentType, query = '', headers = {}, half } = options;
    this.#format = format;
    this.request = request(`${base}/api/voice/stream/${callId}/${half ?? 'duplex'}${query}`, {
      method: half === 'audio' ? 'GET' : 'POST',
      headers: { ...headers, ...(half === 'audio' ? {} : { 'content-type': contentType }) },
      agent: false,
    });
    this.request.on('error', () => {});
    this.answered = once(this.request, 'response').then(([answer]) => answer as IncomingMessage);
    this.over = this.answered.then(
      (answer) =>
        new Promise<boolean>((resolve) => {
          answer.on('data', (bytes: Buffer) => void this.arrivals.push({ atMs: performance.now(), bytes }));
          answer.once('end', () => resolve(true));
          answer.once('error', () => resolve(false));
          answer.once('close', () => resolve(answer.complete));
        }),
      () => false,
    );
    if (half === 'audio') this.request.end();
    else this.request.flushHeaders();
    open.add(this);
  }

  /** Streams from now on. */
  speakOn(): this {
    this.#startedAtMs = performance.now();
    this.sentBytes = 0;
    this.#timer = setInterval(() => this.#step(), STEP_MS);
    return this;
  }

  /** Says something, behind what is being said already. Resolves when all of it has been sent. */
  async say(audio: Uint8Array): Promise<void> {
    this.#speech = Buffer.concat([this.#speech, audio]);
    while (this.#speech.length > 0) await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }

  /** Ends the body, or breaks the connection. Idempotent. */
  hangUp(breaks = false): void {
    clearInterval(this.#timer);
    if (breaks) this.request.destroy();
    else this.request.end();
  }

  get received(): Buffer {
    return Buffer.concat(this.arrivals.map(({ bytes }) => bytes));
  }

  /** Milliseconds of what came down that are not silence, in a format whose silence is one byte. */
  soundMs(format = this.#format): number {
    const silence = silenceByte(format.encoding);
    return this.received.filter((byte) => byte !== silence).length / bytesPerMs(format);
  }

  #step(): void {
    const dueBytes =
      (Math.floor((performance.now() - this.#startedAtMs) / STEP_MS) + 1) * STEP_MS * bytesPerMs(this.#format);
    const length = dueBytes - this.sentBytes;
    if (length <= 0) return;
    const step = Buffer.alloc(length, silenceByte(this.#format.encoding));
    this.#speech.copy(step);
    this.#speech = this.#speech.subarray(length);
    this.sentBytes += length;
    this.request.write(step);
  }
}
