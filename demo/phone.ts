import { request } from 'undici';

/** What happens on a call, as its phone sees it. Times are milliseconds since the call began. */
export interface PhoneEvents {
  onLine(line: string, atMs: number): void;
  onAudio(samples: Int16Array, generation: number, atMs: number): void;
  onInterrupted(atMs: number): void;
  onAction(action: { type: string; extension?: string; reason?: string }, atMs: number): void;
}

export interface Summary {
  readonly callId: string;
  readonly duration: number;
  readonly transcript: string[];
  readonly actions: { name: string; outcome: string; durationMs: number }[];
  readonly endReason: string;
}

/** A telephone that the demo can play a call with. */
export interface DemoPhone {
  /** What it measured, in lines for people. */
  readonly figures: readonly string[];
  /** @returns how long it took until the gateway was ready, in milliseconds */
  create(fields: Readonly<Record<string, string>>): Promise<number>;
  /**
   * Plays a recording into the call, then stays until the agent ends it or `lingerMs` are over.
   * @param onProgress told the milliseconds played
   */
  talk(samples: Int16Array, lingerMs: number, onProgress: (playedMs: number) => void): Promise<void>;
  end(): Promise<Summary>;
}

const CHUNK_MS = 100;
const SAMPLE_RATE_HZ = 16_000;

/**
 * Calls the gateway as FreeSWITCH does: creates a session, sends 100 ms of audio ten times a second, and long-polls for
 * the reply at the same time.
 */
export class Phone implements DemoPhone {
  readonly #base: string;
  readonly #callId: string;
  readonly #events: PhoneEvents;
  #startedAtMs = 0;
  #seq = -1;
  #generation = 0;
  /** When what was received will have been played. */
  #playsUntilMs = 0;
  #isOver = false;
  /** Round trip of each chunk's POST, in milliseconds. */
  readonly #postMs: number[] = [];

  constructor(base: string, callId: string, events: PhoneEvents) {
    this.#base = base;
    this.#callId = callId;
    this.#events = events;
  }

  get figures(): readonly string[] {
    const middle = this.#postMs.toSorted((a, b) => a - b)[Math.floor(this.#postMs.length / 2)] ?? Number.NaN;
    const worst = Math.max(...this.#postMs);
    return [`a chunk's POST, median / worst      ${middle.toFixed(1)} / ${worst.toFixed(1)} ms`];
  }

  /** Milliseconds since the call began. */
  get nowMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  async create(fields: Readonly<Record<string, string>>): Promise<number> {
    this.#startedAtMs = performance.now();
    await this.#json('POST', '/api/voice/session/create', { callId: this.#callId, ...fields });
    const readyMs = this.nowMs;
    this.#startedAtMs = performance.now();
    return readyMs;
  }

  async talk(samples: Int16Array, lingerMs: number, onProgress: (playedMs: number) => void): Promise<void> {
    const polling = this.#poll();
    const chunkLength = (SAMPLE_RATE_HZ * CHUNK_MS) / 1000;
    const totalMs = (samples.length / SAMPLE_RATE_HZ) * 1000;
    for (let seq = 0; !this.#isOver && seq * CHUNK_MS < totalMs + lingerMs; seq++) {
      // An absolute schedule: a late chunk does not make the next one late.
      await until(this.#startedAtMs + (seq + 1) * CHUNK_MS);
      const chunk = samples.slice(seq * chunkLength, (seq + 1) * chunkLength);
      const audio = chunk.length === chunkLength ? chunk : padded(chunk, chunkLength);
      const sentAtMs = this.nowMs;
      await this.#json('POST', `/api/voice/stream/${this.#callId}`, { audio: base64Of(audio), chunkSeq: seq });
      this.#postMs.push(this.nowMs - sentAtMs);
      onProgress(Math.min(totalMs, (seq + 1) * CHUNK_MS));
    }
    await until(this.#startedAtMs + this.#playsUntilMs);
    this.#isOver = true;
    await polling;
  }

  async end(): Promise<Summary> {
    const { summary } = (await this.#json('POST', `/api/voice/session/${this.#callId}/end`)) as { summary: Summary };
    return summary;
  }

  async #poll(): Promise<void> {
    while (!this.#isOver) {
      const answer = (await this.#json(
        'GET',
        `/api/voice/stream/${this.#callId}/response?timeout=1000&ack=${this.#seq}`,
      )) as {
        audio?: string;
        transcript?: string;
        actions?: { type: string }[];
        seq: number;
        generation: number;
        hasMore: boolean;
      };
      const atMs = this.nowMs;
      if (answer.generation > this.#generation) {
        this.#generation = answer.generation;
        this.#playsUntilMs = atMs;
        this.#events.onInterrupted(atMs);
      }
      this.#seq = answer.seq;
      if (answer.audio) this.#play(answer.audio, atMs);
      for (const line of answer.transcript?.split('\n') ?? []) this.#events.onLine(line, atMs);
      for (const action of answer.actions ?? []) this.#act(action, atMs);
      if (!answer.hasMore) this.#isOver = true;
    }
  }

  #play(base64: string, atMs: number): void {
    const bytes = Buffer.from(base64, 'base64');
    const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const startsAtMs = Math.max(atMs, this.#playsUntilMs);
    this.#events.onAudio(samples, this.#generation, startsAtMs);
    this.#playsUntilMs = startsAtMs + (samples.length / SAMPLE_RATE_HZ) * 1000;
  }

  #act(action: { type: string }, atMs: number): void {
    this.#events.onAction(action, Math.max(atMs, this.#playsUntilMs));
    this.#isOver = true;
  }

  async #json(method: 'GET' | 'POST', path: string, body?: object): Promise<object> {
    const { statusCode, body: answer } = await request(this.#base + path, {
      method,
      ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
    });
    const json = (await answer.json()) as { error?: string };
    if (statusCode !== 200) throw new Error(`${method} ${path}: HTTP ${statusCode}, ${json.error}`);
    return json;
  }
}

function until(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));
}

function padded(samples: Int16Array, length: number): Int16Array {
  const whole = new Int16Array(length);
  whole.set(samples);
  return whole;
}

function base64Of(samples: Int16Array): string {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString('base64');
}
