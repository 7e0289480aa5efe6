import { ask, request } from '../api/client.ts';
import { ApiFailure } from '../api/failure.ts';
import type { CreateAnswer, PollAnswer } from '../api/types.ts';
import { Uploader } from './uploader.ts';

/** How far the gateway is ahead of what is heard, and what it writes at once. */
const LEAD_MS = 200;
const FRAME_MS = 40;
/** Playing begins a frame short of the lead, so that it does not wait for a second burst. */
export const TARGET_MS = LEAD_MS - FRAME_MS;
export const SLACK_MS = 120;

/** Between two attempts to have the agent's audio streamed. */
const REOPEN_MS = 1_000;
/** How long the gateway may take to connect to the AI. */
const CREATE_DEADLINE_MS = 30_000;
/** How long the agent's stream may take to begin. */
const OPEN_DEADLINE_MS = 10_000;
/** The gateway writes in real time: a stream without a byte this long is dead. */
const STALLED_MS = 5_000;

export interface LineListener {
  onAudio(samples: Int16Array): void;
  /** No audio comes for now: the call is over, or its connection is to be taken up again. */
  onPause(): void;
  /** The call is over, and all of its audio has come. `why` is of a call that could not go on. */
  onOver(endReason: string | undefined, why: string | undefined): void;
}

/**
 * One call through the API, as a switch makes it: create, numbered chunks up, the agent's half of a streamed call down,
 * end. Browsers cannot stream a request's body over HTTP/1.1; that is why the way up is requests.
 */
export class PhoneLine {
  readonly callId: string;
  readonly #listener: LineListener;
  readonly #sampleRateHz: number;
  readonly #uploader: Uploader;
  readonly #closed = new AbortController();
  #isOver = false;

  constructor(callId: string, sampleRateHz: number, listener: LineListener) {
    this.callId = callId;
    this.#sampleRateHz = sampleRateHz;
    this.#listener = listener;
    this.#uploader = new Uploader(
      sampleRateHz,
      async (chunkSeq, samples) => {
        await ask(this.#path(), {
          method: 'POST',
          body: samples as Int16Array<ArrayBuffer>,
          headers: { 'content-type': `audio/pcm;rate=${sampleRateHz}`, 'x-chunk-seq': String(chunkSeq) },
        });
      },
      (error) => this.#over(undefined, (error as Error).message),
    );
  }

  /** @throws {ApiFailure} the call could not be made */
  async dial(aiAgentRef: string | undefined): Promise<void> {
    await ask<CreateAnswer>('/api/voice/session/create', {
      method: 'POST',
      json: {
        callId: this.callId,
        encoding: 'pcm16',
        sampleRate: this.#sampleRateHz,
        ...(aiAgentRef ? { aiAgentRef } : {}),
      },
      timeoutMs: CREATE_DEADLINE_MS,
    });
    void this.#listen();
  }

  say(samples: Int16Array): void {
    this.#uploader.push(samples);
  }

  async press(dtmf: string): Promise<void> {
    await ask(this.#path(), { method: 'POST', json: { dtmf } });
  }

  /** Ends the call. Idempotent. */
  async hangUp(): Promise<void> {
    if (this.#isOver) return;
    this.#over('completed', undefined);
    await ask(`/api/voice/session/${encodeURIComponent(this.callId)}/end`, { method: 'POST' }).catch(() => {});
  }

  #path(rest = ''): string {
    return `/api/voice/stream/${encodeURIComponent(this.callId)}${rest}`;
  }

  /** The agent's audio, taken up again where the connection breaks, until the call is over. */
  async #listen(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#readStream();
        const { endReason, error, hasMore } = await ask<PollAnswer>(this.#path('/response?timeout=0'));
        if (!hasMore) return this.#over(endReason, error);
      } catch (error) {
        if (this.#isOver) return;
        if (error instanceof ApiFailure && error.status >= 400 && error.status < 500) {
          return this.#over(undefined, error.message);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, REOPEN_MS));
    }
  }

  async #readStream(): Promise<void> {
    const stalled = new AbortController();
    let timer = setTimeout(() => stalled.abort(), OPEN_DEADLINE_MS);
    try {
      const answer = await request(
        this.#path(`/audio?out=pcm16&outRate=${this.#sampleRateHz}&lead=${LEAD_MS}&frame=${FRAME_MS}`),
        { signal: AbortSignal.any([this.#closed.signal, stalled.signal]), timeoutMs: 'none' },
      );
      let odd = new Uint8Array(0);
      for await (const bytes of answer.body!) {
        clearTimeout(timer);
        timer = setTimeout(() => stalled.abort(), STALLED_MS);
        // A sample may lie across two pieces.
        const whole = new Uint8Array(odd.length + bytes.length);
        whole.set(odd);
        whole.set(bytes, odd.length);
        const even = whole.length - (whole.length % 2);
        odd = whole.slice(even);
        this.#listener.onAudio(new Int16Array(whole.buffer, 0, even / 2));
      }
    } finally {
      clearTimeout(timer);
      this.#listener.onPause();
    }
  }

  #over(endReason: string | undefined, why: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#uploader.close();
    this.#closed.abort();
    this.#listener.onOver(endReason, why);
  }
}
