import { setTimeout as sleep } from 'node:timers/promises';
import type { RealtimeClientEvent } from 'openai/resources/realtime/realtime';
import { monotonicNowMs } from '../clock.ts';
import type { RealtimeConnection } from '../realtime/connection.ts';
import type { RawEvent } from '../realtime/incoming.ts';

/** Today's names of events that the beta of the API called otherwise: a probe goes on where a call would be deaf. */
const NAMES_OF_TODAY: Readonly<Record<string, string>> = {
  'response.audio.delta': 'response.output_audio.delta',
  'response.audio.done': 'response.output_audio.done',
  'response.audio_transcript.delta': 'response.output_audio_transcript.delta',
  'response.audio_transcript.done': 'response.output_audio_transcript.done',
  'response.text.delta': 'response.output_text.delta',
  'response.text.done': 'response.output_text.done',
  'conversation.item.created': 'conversation.item.added',
};

/** PCM of 24 kHz. */
const BYTES_PER_MS = 48;
const CHUNK_MS = 100;

/** An event of the server, by today's name. */
export interface Heard {
  readonly type: string;
  readonly event: RawEvent;
  readonly atMs: number;
}

/** A conversation with a server, event by event, where somebody waits for each with a deadline. */
export class Talk {
  readonly #connection: RealtimeConnection;
  readonly #heard: Heard[] = [];
  readonly #waiting = new Set<() => void>();
  /** Names of the beta that came. */
  readonly betaNames = new Set<string>();
  /** Why there is no conversation any more. */
  ended: Error | undefined;

  constructor(connection: RealtimeConnection) {
    this.#connection = connection;
    this.ended = connection.failure;
    connection.onEvent = (event) => {
      const type = NAMES_OF_TODAY[event.type] ?? event.type;
      if (type !== event.type) this.betaNames.add(event.type);
      this.#heard.push({ type, event, atMs: monotonicNowMs() });
      this.#look();
    };
    connection.onClose = (error) => {
      this.ended = error;
      this.#look();
    };
  }

  /** Where the conversation is now: what is looked for from here on comes later. */
  get mark(): number {
    return this.#heard.length;
  }

  send(event: RealtimeClientEvent): void {
    this.#connection.send(event);
  }

  since(mark: number): readonly Heard[] {
    return this.#heard.slice(mark);
  }

  /** The first event from `mark` on that `isIt`; undefined: it did not come in time, or nothing comes any more. */
  async next(mark: number, timeoutMs: number, isIt: (heard: Heard) => boolean): Promise<Heard | undefined> {
    const endsAtMs = monotonicNowMs() + timeoutMs;
    let looked = mark;
    for (;;) {
      for (; looked < this.#heard.length; looked++) if (isIt(this.#heard[looked]!)) return this.#heard[looked];
      const leftMs = endsAtMs - monotonicNowMs();
      if (leftMs <= 0 || this.ended) return undefined;
      const woken = Promise.withResolvers<void>();
      this.#waiting.add(woken.resolve);
      const timer = setTimeout(woken.resolve, leftMs);
      await woken.promise;
      clearTimeout(timer);
      this.#waiting.delete(woken.resolve);
    }
  }

  /** Speaks in real time. @param pcm 16 bits, 24 kHz */
  async speak(pcm: Uint8Array): Promise<void> {
    const startedAtMs = monotonicNowMs();
    for (let at = 0; at < pcm.length && !this.ended; at += CHUNK_MS * BYTES_PER_MS) {
      const chunk = Buffer.from(pcm.subarray(at, at + CHUNK_MS * BYTES_PER_MS));
      this.#connection.sendAudio(chunk.toString('base64'));
      await sleep(Math.max(0, startedAtMs + at / BYTES_PER_MS + CHUNK_MS - monotonicNowMs()));
    }
  }

  /** Is silent in real time, as a telephone is, until `promise` settles. */
  async hush<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    promise.then(over, over);
    while (!isOver && !this.ended) await this.speak(new Uint8Array(CHUNK_MS * BYTES_PER_MS));
    return promise;
  }

  close(): void {
    this.#connection.close();
  }

  #look(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** How long the audio of a delta lasts, in PCM of 24 kHz. */
export function audioMsOf({ type, event }: Heard): number {
  const { delta } = event;
  if (type !== 'response.output_audio.delta' || typeof delta !== 'string') return 0;
  return Buffer.byteLength(delta, 'base64') / BYTES_PER_MS;
}
