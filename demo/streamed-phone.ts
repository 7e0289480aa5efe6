import { type ClientRequest, type IncomingMessage, request as openRequest } from 'node:http';
import { request } from 'undici';
import type { DemoPhone, PhoneEvents, Summary } from './phone.ts';

const STEP_MS = 20;
const SAMPLE_RATE_HZ = 16_000;
const STEP_SAMPLES = (SAMPLE_RATE_HZ * STEP_MS) / 1000;

/**
 * Calls the gateway with one request: the caller's samples are its body, the agent's its answer, silence included, both for
 * as long as the call lasts. There is nothing to number, to acknowledge or to flush.
 */
export class StreamedPhone implements DemoPhone {
  readonly #base: string;
  readonly #callId: string;
  readonly #events: PhoneEvents;
  #request: ClientRequest | undefined;
  #startedAtMs = 0;
  #leadMs = '';
  #isOver = false;
  readonly #over = Promise.withResolvers<void>();
  /** Samples that have come, and half a sample at their end. */
  #heardSamples = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(base: string, callId: string, events: PhoneEvents) {
    this.#base = base;
    this.#callId = callId;
    this.#events = events;
  }

  get figures(): readonly string[] {
    return [
      `the answer's audio                  ${(this.#heardSamples / SAMPLE_RATE_HZ).toFixed(1)} s, ${this.#leadMs} ms ahead of its playback`,
    ];
  }

  async create(fields: Readonly<Record<string, string>>): Promise<number> {
    const dialledAtMs = performance.now();
    const query = new URLSearchParams({ create: '1', ...fields });
    const streamed = openRequest(`${this.#base}/api/voice/stream/${this.#callId}/duplex?${query}`, {
      method: 'POST',
      headers: { 'content-type': `audio/pcm;rate=${SAMPLE_RATE_HZ}` },
      agent: false,
    });
    this.#request = streamed;
    streamed.flushHeaders();
    const answer = await new Promise<IncomingMessage>((answered, failed) => {
      streamed.once('response', answered);
      streamed.once('error', failed);
    });
    if (answer.statusCode !== 200) throw new Error(`the streamed request: HTTP ${answer.statusCode}`);
    this.#leadMs = String(answer.headers['x-lead-ms']);
    this.#startedAtMs = performance.now();
    answer.on('data', (bytes: Buffer) => this.#hear(bytes));
    answer.once('close', () => {
      this.#isOver = true;
      this.#over.resolve();
    });
    return this.#startedAtMs - dialledAtMs;
  }

  async talk(samples: Int16Array, lingerMs: number, onProgress: (playedMs: number) => void): Promise<void> {
    const totalMs = (samples.length / SAMPLE_RATE_HZ) * 1000;
    for (let step = 0; !this.#isOver && step * STEP_MS < totalMs + lingerMs; step++) {
      // An absolute schedule: a late step does not make the next one late.
      const waitMs = this.#startedAtMs + (step + 1) * STEP_MS - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const said = new Int16Array(STEP_SAMPLES);
      said.set(samples.subarray(step * STEP_SAMPLES, (step + 1) * STEP_SAMPLES));
      this.#request!.write(Buffer.from(said.buffer));
      onProgress(Math.min(totalMs, (step + 1) * STEP_MS));
    }
    const atMs = performance.now() - this.#startedAtMs;
    await this.#readRest(atMs);
  }

  async end(): Promise<Summary> {
    this.#request!.end();
    await this.#over.promise;
    const { body } = await request(`${this.#base}/api/voice/session/${this.#callId}/end`, { method: 'POST' });
    return ((await body.json()) as { summary: Summary }).summary;
  }

  /** What was said in words, and what is to be done: the call tells it when it is asked. */
  async #readRest(atMs: number): Promise<void> {
    const { body } = await request(`${this.#base}/api/voice/stream/${this.#callId}/response?timeout=0`);
    const { transcript, actions = [] } = (await body.json()) as {
      transcript?: string;
      actions?: { type: string; extension?: string }[];
    };
    for (const line of transcript?.split('\n') ?? []) this.#events.onLine(line, atMs);
    for (const action of actions) this.#events.onAction(action, atMs);
  }

  #hear(bytes: Buffer): void {
    const whole = Buffer.concat([this.#rest, bytes]);
    const length = whole.length - (whole.length % 2);
    this.#rest = whole.subarray(length);
    const samples = new Int16Array(whole.buffer.slice(whole.byteOffset, whole.byteOffset + length));
    this.#events.onAudio(samples, 0, (this.#heardSamples / SAMPLE_RATE_HZ) * 1000);
    this.#heardSamples += samples.length;
  }
}
