import { readFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Phone } from '../../demo/phone.ts';
import { readWav } from '../../src/audio/wav.ts';
import type { RealtimeSimulator } from '../../src/simulator/server.ts';

/** Part of a recorded call, in seconds. */
type Part = readonly [recording: string, from: number, to: number];

/** What callers ask, each with time for the answer; the last talks over it. */
const QUESTIONS: readonly (readonly Part[])[] = [
  [['order-status-16k', 3, 17]],
  [['noisy-street-16k', 3, 13]],
  [['long-silence-16k', 11, 20]],
  [
    ['interrupter-16k', 3, 7.4],
    ['order-status-16k', 3.5, 11],
  ],
];

/** How calls end: the agent hangs up, transfers, is interrupted and transfers; or the caller hangs up. */
const ENDINGS: readonly (readonly Part[])[] = [
  [['goodbye-16k', 3, 9]],
  [['transfer-request-16k', 3, 11.7]],
  [['interrupter-16k', 3, 15]],
  [],
];

const SAMPLE_RATE_HZ = 16_000;
/** While the agent greets. Every fifth caller does not wait for it. */
const GREETING_SECONDS = 3;
/** Fewest and most questions of a call, so that calls last for half a minute to a minute and a half. */
const QUESTIONS_A_CALL = [2, 6] as const;
const LINGER_MS = 8_000;
/** One call in so many loses its upstream in the middle of a reply. */
const DROP_EVERY = 8;

export interface CallersOptions {
  readonly gatewayUrl: string;
  readonly simulator: RealtimeSimulator;
  /** Lines on which one call follows the other. */
  readonly calls: number;
}

/** Callers who keep a number of lines busy until they are stopped, and see to it that things go wrong now and then. */
export class Callers {
  readonly #options: CallersOptions;
  readonly #recordings = new Map<string, Int16Array>();
  readonly #stopped = new AbortController();
  readonly #lines: Promise<void>[] = [];
  readonly #failures = new Map<string, number>();
  #started = 0;

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /** Calls begun so far. */
  get started(): number {
    return this.#started;
  }

  /** What calls failed with, and how often. */
  get failures(): ReadonlyMap<string, number> {
    return this.#failures;
  }

  /** Begins calling, `perSecond` calls a second until all lines are busy. */
  start(perSecond: number): void {
    for (let line = 0; line < this.#options.calls; line++)
      this.#lines.push(this.#line(line, (line * 1000) / perSecond));
    this.#lines.push(this.#clumsyClient());
  }

  /** No new calls; resolves when those that run are over. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#lines);
  }

  async #line(line: number, delayMs: number): Promise<void> {
    await this.#pause(delayMs);
    for (let round = 0; !this.#stopped.signal.aborted; round++) {
      try {
        await this.#call(line, round);
      } catch (error) {
        const { message } = error as Error;
        this.#failures.set(message, (this.#failures.get(message) ?? 0) + 1);
        await this.#pause(1_000);
      }
    }
  }

  async #call(line: number, round: number): Promise<void> {
    const { gatewayUrl, simulator } = this.#options;
    const number = this.#started++;
    if (number % DROP_EVERY === DROP_EVERY - 1) simulator.nextConnection({ drop: { at: 'reply', afterMs: 500 } });
    const phone = new Phone(gatewayUrl, `load-${line}-${round}`, {
      onLine() {},
      onAudio() {},
      onInterrupted() {},
      onAction() {},
    });
    await phone.create({ callerNumber: `3932976${String(number).padStart(5, '0')}` });
    await phone.talk(this.#conversation(number), LINGER_MS, () => {});
    await phone.end();
  }

  /** What the caller of a call says from the first second to the last. */
  #conversation(number: number): Int16Array {
    const [fewest, most] = QUESTIONS_A_CALL;
    const length = fewest + (number % (most - fewest + 1));
    const questions = Array.from({ length }, (_, i) => QUESTIONS[(number + i) % QUESTIONS.length]!);
    const ending = ENDINGS[number % ENDINGS.length]!;
    const parts = [...questions, ending].flat().map((part) => this.#recorded(part));
    if (number % 5 > 0) parts.unshift(new Int16Array(GREETING_SECONDS * SAMPLE_RATE_HZ));
    const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  #recorded([name, from, to]: Part): Int16Array {
    let samples = this.#recordings.get(name);
    if (!samples) {
      samples = readWav(readFileSync(new URL(`../../fixtures/calls/${name}.wav`, import.meta.url))).samples;
      this.#recordings.set(name, samples);
    }
    return samples.subarray(from * SAMPLE_RATE_HZ, to * SAMPLE_RATE_HZ);
  }

  /** A client that loses, repeats and spoils chunks, asks for agents that do not exist, and presses keys. */
  async #clumsyClient(): Promise<void> {
    const audio = Buffer.alloc(3_200).toString('base64');
    for (let round = 0; !this.#stopped.signal.aborted; round++) {
      const callId = `clumsy-${round}`;
      await this.#post('/api/voice/session/create', { callId });
      for (const chunkSeq of [0, 2, 1, 2]) {
        await this.#post(`/api/voice/stream/${callId}`, { audio, chunkSeq });
        // Longer than an early chunk waits for the one before it.
        await sleep(400);
      }
      await this.#post(`/api/voice/stream/${callId}`, { audio: 'AAAA', chunkSeq: 3 });
      await this.#post(`/api/voice/stream/${callId}`, { dtmf: '12#', chunkSeq: 4 });
      if (round % 10 === 0) {
        await this.#post('/api/voice/session/create', { callId: `nobody-${round}`, aiAgentRef: 'nobody' });
      }
      await this.#post('/api/no/such/route', {});
      await this.#stream(`streamed-${round}`, round % 10 === 0);
      await this.#post(`/api/voice/session/${callId}/end`, {});
    }
  }

  /** A streamed call of three seconds in which nobody speaks; hasty ones send all of a minute at once. */
  async #stream(callId: string, isHasty: boolean): Promise<void> {
    const stream = request(`${this.#options.gatewayUrl}/api/voice/stream/${callId}/duplex?create=1`, {
      method: 'POST',
      headers: { 'content-type': 'audio/pcmu' },
      agent: false,
    });
    stream.on('response', (answer) => answer.on('error', () => {}).resume()).on('error', () => {});
    for (let i = 0; i < 50 && !this.#stopped.signal.aborted; i++) {
      stream.write(Buffer.alloc(isHasty && i === 25 ? 480_000 : 480, 0xff));
      await sleep(60);
    }
    stream.end();
  }

  async #post(path: string, body: object): Promise<void> {
    const answer = await fetch(this.#options.gatewayUrl + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await answer.arrayBuffer();
  }

  async #pause(forMs: number): Promise<void> {
    await sleep(forMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
  }
}

/** A W3 backend that has no agent profiles and takes every summary. */
export async function startBackend(): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(request.method === 'POST' ? 200 : 404, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, server };
}
