import { setTimeout as sleep } from 'node:timers/promises';
import { silenceByte } from '../../src/audio/codec.ts';
import type { Answer } from '../support/call.ts';
import type { Utterance } from '../support/caller.ts';
import { DuplexCall } from '../support/duplex-call.ts';
import { Caller, CallOver } from './caller.ts';
import { type Line, spoken } from './line.ts';

const LOOK_MS = 50;
/** So long without a sound after a sound: the reply is over. */
const QUIET_MS = 900;

/** A {@link Caller} with one streamed request, who hears in real time what the gateway plays. */
export class StreamedCaller extends Caller {
  readonly #url: string;
  readonly #callId: string;
  #stream: DuplexCall | undefined;
  #hasEnded = false;
  #soundMs = 0;
  #soundAtMs = Number.NEGATIVE_INFINITY;

  constructor(url: string, callId: string, line: Line, connections: readonly unknown[], patienceMs?: number) {
    super(url, callId, line, connections, patienceMs);
    this.#url = url;
    this.#callId = callId;
  }

  override async create(aiAgentRef: string): Promise<Answer> {
    const created = await super.create(aiAgentRef);
    if (created.status !== 200) return created;
    const { encoding, sampleRate: sampleRateHz } = this.line.format;
    const contentType = encoding === 'pcmu' ? 'audio/pcmu' : `audio/pcm;rate=${sampleRateHz}`;
    const stream = new DuplexCall(this.#url, this.#callId, { format: { encoding, sampleRateHz }, contentType });
    this.#stream = stream;
    try {
      const { statusCode } = await stream.answered;
      if (statusCode !== 200) this.problems.push(`the streamed request answered ${statusCode}`);
    } catch (error) {
      this.problems.push(`the streamed request got no answer (${(error as Error).message})`);
    }
    void stream.over.then((isWhole) => {
      this.#hasEnded = true;
      if (!isWhole) this.problems.push('the streamed answer broke off');
    });
    stream.speakOn();
    return created;
  }

  override get heardMs(): number {
    this.#look();
    return this.#soundMs;
  }

  override async say(utterance: Utterance): Promise<void> {
    await this.#checkOver();
    await this.#stream!.say(spoken(utterance, this.line));
  }

  override async listen(patienceMs = this.patienceMs): Promise<boolean> {
    const heardBefore = this.heardMs;
    await this.#until(
      () => this.heardMs > heardBefore && performance.now() - this.#soundAtMs > QUIET_MS,
      // It goes on listening for as long as it hears something.
      () => Math.max(patienceMs, this.heardMs - heardBefore + patienceMs),
    );
    await this.#checkOver().catch(() => {});
    return this.isOver || this.heardMs > heardBefore;
  }

  override async hear(ms: number, patienceMs = this.patienceMs): Promise<void> {
    const wantedMs = this.heardMs + ms;
    await this.#until(
      () => this.heardMs >= wantedMs,
      () => patienceMs,
    );
  }

  /** What came has been played as it came. */
  override async play(): Promise<void> {}

  override async connected(count: number, patienceMs = this.patienceMs): Promise<void> {
    await this.#until(
      () => this.connections.length >= count,
      () => patienceMs,
    );
  }

  override async settle(patienceMs = this.patienceMs): Promise<void> {
    await this.#until(
      () => {
        this.#look();
        return performance.now() - this.#soundAtMs > QUIET_MS;
      },
      () => patienceMs,
    );
    await this.#checkOver().catch(() => {});
  }

  override hangUp(): void {
    this.#stream?.hangUp(true);
  }

  async #until(isDone: () => boolean, patienceMs: () => number): Promise<void> {
    const startedAtMs = performance.now();
    while (!this.#hasEnded && !isDone() && performance.now() - startedAtMs < patienceMs()) await sleep(LOOK_MS);
  }

  /** Once its answer has ended, the rest is asked for, as a switch does. @throws {CallOver} when the call has ended */
  async #checkOver(): Promise<void> {
    for (let i = 0; this.#hasEnded && !this.isOver && i < 20; i++) {
      await this.request('response', () => this.call.poll('timeout=500'));
    }
    if (this.isOver) throw new CallOver('the call is over');
  }

  /** Counts the frames that came and were not silence. */
  #look(): void {
    if (!this.#stream) return;
    const silence = silenceByte(this.line.format.encoding);
    for (const { bytes, atMs } of this.#stream.arrivals.splice(0)) {
      if (bytes.every((byte) => byte === silence)) continue;
      this.#soundMs += bytes.length / this.line.bytesPerMs;
      this.#soundAtMs = atMs;
    }
  }
}
