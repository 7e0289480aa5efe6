import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { readWav, writeWav } from '../../src/audio/wav.ts';

const SAMPLE_RATE_HZ = 16_000;
/** One question, without the silence around it. */
const QUESTION_SECONDS = [4, 6.9] as const;
/** A caller asks, listens, thinks: another question a little later. */
const EVERY_MS = 10_000;
const POLL_MS = 5_000;
const CREATE_ATTEMPTS = 30;

/**
 * Callers who cost little: a question is one request, the answer is polled. What happens on their calls, turn by turn, is
 * what happens on any call, and that is what a console has to show.
 */
export class LightCallers {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent = new Agent({ connections: 1_024 });
  readonly #stopped = new AbortController();
  readonly #question: Buffer;
  #lines: Promise<void>[] = [];
  #failures = 0;

  constructor(url: string, apiKey: string) {
    this.#url = url;
    this.#headers = { 'x-api-key': apiKey };
    const { samples } = readWav(readFileSync(new URL('../../fixtures/calls/order-status-16k.wav', import.meta.url)));
    const [from, to] = QUESTION_SECONDS;
    this.#question = Buffer.from(writeWav(samples.slice(from * SAMPLE_RATE_HZ, to * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ));
  }

  /** Begins `count` calls, so many a second, each with turns of its own rhythm; resolves when all of them are there. */
  async start(count: number, perSecond: number): Promise<void> {
    const created: Promise<void>[] = [];
    const failed = () => {
      if (!this.#stopped.signal.aborted) this.#failures += 1;
    };
    for (let i = 0; i < count; i++) {
      const callId = `light-${i}`;
      const create = this.create(callId, { callerNumber: `3932976${String(i).padStart(5, '0')}` });
      const call = () => Promise.all([this.#listen(callId), this.#talk(callId, (i * 997) % EVERY_MS)]);
      created.push(create);
      this.#lines.push(create.then(call).then(() => {}, failed));
      await sleep(1_000 / perSecond);
    }
    await Promise.all(created);
  }

  /** Callers who gave up. */
  get failures(): number {
    return this.#failures;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#lines);
    this.#lines = [];
    await this.#agent.destroy();
  }

  /** @throws {Error} where the gateway takes no call for half a minute */
  async create(callId: string, fields: object = {}): Promise<void> {
    const body = JSON.stringify({ callId, ...fields });
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#ask('POST', '/api/voice/session/create', body, 'application/json');
      } catch (error) {
        // A machine that is busy with something else refuses for a second.
        if (attempt === CREATE_ATTEMPTS) throw error;
        await sleep(1_000, undefined, { signal: this.#stopped.signal });
      }
    }
  }

  async end(callId: string): Promise<void> {
    await this.#ask('POST', `/api/voice/session/${callId}/end`);
  }

  async #talk(callId: string, firstAfterMs: number): Promise<void> {
    const { signal } = this.#stopped;
    await sleep(firstAfterMs, undefined, { signal });
    while (!signal.aborted) {
      await this.#ask('POST', `/api/voice/stream/${callId}`, this.#question, 'audio/wav');
      await sleep(EVERY_MS, undefined, { signal });
    }
  }

  async #listen(callId: string): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#ask('GET', `/api/voice/stream/${callId}/response?timeout=${POLL_MS}`);
    }
  }

  async #ask(method: 'GET' | 'POST', path: string, body?: string | Buffer, type?: string): Promise<void> {
    const answer = await request(`${this.#url}${path}`, {
      method,
      dispatcher: this.#agent,
      signal: this.#stopped.signal,
      headers: { ...this.#headers, ...(type === undefined ? {} : { 'content-type': type }) },
      body: body ?? null,
    });
    await answer.body.dump();
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: HTTP ${answer.statusCode}`);
  }
}
