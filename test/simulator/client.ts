import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RealtimeServerEvent } from 'openai/resources/realtime/realtime';
import { type ClientOptions, WebSocket } from 'ws';
import { resampleWhole } from '../../src/audio/resampler.ts';
import { readWav } from '../../src/audio/wav.ts';
import { type Codec, codecOf } from '../../src/simulator/format.ts';
import type { Manifest } from '../../src/simulator/script.ts';

export type ServerEventType = RealtimeServerEvent['type'];
export type ServerEventOf<T extends ServerEventType> = Extract<RealtimeServerEvent, { type: T }>;

/** Options that take all waiting out of a simulator. */
export const INSTANT = { speedup: Number.POSITIVE_INFINITY, responseDelayMs: 0, transcriptionDelayMs: 0 };

export const PCM = codecOf({ type: 'audio/pcm', rate: 24_000 });
export const PCMU = codecOf({ type: 'audio/pcmu' });
export const PCMA = codecOf({ type: 'audio/pcma' });

/** A client over a real socket, which keeps every event in the order in which it came. */
export class TestClient {
  readonly socket: WebSocket;
  readonly events: RealtimeServerEvent[] = [];
  /** Resolves when the socket has closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
  #cursor = 0;
  #wake: () => void = () => {};
  #isClosed = false;

  constructor(url: string, query: Record<string, string> = {}, options: ClientOptions = {}, protocols: string[] = []) {
    const address = new URL(url);
    address.search = new URLSearchParams({ model: 'gpt-realtime-2.1', ...query }).toString();
    this.socket = new WebSocket(address, protocols, {
      perMessageDeflate: false,
      headers: { authorization: 'Bearer test-key' },
      ...options,
    });
    this.socket.on('message', (data) => {
      this.events.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => {
        this.#isClosed = true;
        this.#wake();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** Connects and waits for `session.created`. */
  static async connect(url: string, query?: Record<string, string>, options?: ClientOptions): Promise<TestClient> {
    const client = new TestClient(url, query, options);
    await once(client.socket, 'open');
    await client.next('session.created');
    return client;
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  /** All events of a type so far. */
  all<T extends ServerEventType>(type: T): ServerEventOf<T>[] {
    return this.events.filter((event) => event.type === type) as ServerEventOf<T>[];
  }

  /** The next event of a type that no earlier call went past. */
  async next<T extends ServerEventType>(
    type: T,
    where: (event: ServerEventOf<T>) => boolean = () => true,
  ): Promise<ServerEventOf<T>> {
    while (true) {
      for (; this.#cursor < this.events.length; ) {
        const event = this.events[this.#cursor]!;
        this.#cursor += 1;
        if (event.type === type && where(event as ServerEventOf<T>)) return event as ServerEventOf<T>;
      }
      if (this.#isClosed) throw new Error(`closed while waiting for ${type}; got ${this.types.join(', ')}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  send(event: object): void {
    this.socket.send(JSON.stringify(event));
  }

  /** A `session.update` and the session that comes back. */
  async update(session: object) {
    this.send({ type: 'session.update', session: { type: 'realtime', ...session } });
    const { session: updated } = await this.next('session.updated');
    return updated;
  }

  /** Sends an event and returns the error that answers it. */
  async refused(event: object) {
    this.send({ event_id: 'ev-1', ...event });
    return (await this.next('error')).error;
  }

  append(bytes: Uint8Array): void {
    this.send({ type: 'input_audio_buffer.append', audio: Buffer.from(bytes).toString('base64') });
  }

  /** Appends audio in chunks of `chunkMs`. */
  stream(bytes: Uint8Array, codec: Codec = PCM, chunkMs = 100): void {
    const size = chunkMs * codec.bytesPerMs;
    for (let at = 0; at < bytes.length; at += size) this.append(bytes.subarray(at, at + size));
  }

  /** Half a second of quiet, speech of `speechMs`, and enough quiet for the turn to end. */
  say(speechMs: number, codec: Codec = PCM): void {
    this.stream(joined(silence(500, codec), speech(speechMs, codec), silence(1000, codec)), codec);
  }

  /** The audio of an item, from its deltas. */
  audioOf(itemId: string): Buffer {
    const deltas = this.all('response.output_audio.delta').filter(({ item_id }) => item_id === itemId);
    return Buffer.concat(deltas.map(({ delta }) => Buffer.from(delta, 'base64')));
  }

  close(): Promise<unknown> {
    this.socket.close();
    return this.closed;
  }
}

/** A loud hum, which is speech to any detector of energy; never the same twice in a row. */
export function speech(durationMs: number, codec: Codec = PCM, amplitude = 9000): Uint8Array {
  const samples = Int16Array.from({ length: (codec.sampleRateHz * durationMs) / 1000 }, (_, n) => {
    const t = n / codec.sampleRateHz;
    return Math.round(
      amplitude * (Math.sin(2 * Math.PI * 310 * t) + 0.3 * Math.sin(2 * Math.PI * (700 + 400 * t) * t)),
    );
  });
  return codec.encode(samples);
}

export function silence(durationMs: number, codec: Codec = PCM): Uint8Array {
  return codec.encode(new Int16Array((codec.sampleRateHz * durationMs) / 1000));
}

export function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));

export const manifest = JSON.parse(readFileSync(`${FIXTURES}manifest.json`, 'utf8')) as Manifest;

/** A recorded call in an encoding of the service. */
export function recordedCall(callId: string, codec: Codec = PCM): Uint8Array {
  const { samples, sampleRateHz } = readWav(readFileSync(FIXTURES + manifest.calls[callId]!.file));
  return codec.encode(resampleWhole(samples, sampleRateHz, codec.sampleRateHz));
}
