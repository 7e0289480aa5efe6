import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCall } from '../support/call.ts';
import { eventually } from '../support/caller.ts';
import { QUIET_PROFILE, startGateway, type TestGateway } from '../support/gateway.ts';

/** Clients that send on schedule and wait for no answer: what they are told arrives once, in order, on whole connections. */
let gateway: TestGateway;
let calls = 0;

beforeAll(async () => {
  gateway = await startGateway({
    env: { SESSION_WORKERS: '1', DEFAULT_AGENT_REF: 'quiet' },
    simulator: { mode: 'loopback' },
    profiles: { quiet: QUIET_PROFILE },
  });
});
afterAll(() => gateway.stop());

const CHUNK_SAMPLES = 1_600;
const CHUNKS = 60;

interface Answer {
  readonly audio?: string;
  readonly seq?: number;
  readonly status?: string;
}

/** One kept connection on which requests are sent without waiting, and answered in order. */
class Pipeline {
  readonly socket: Socket;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #received = '';
  isBroken = false;

  constructor(url: string) {
    const { port, hostname } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.setEncoding('latin1');
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isBroken = true;
    });
    this.socket.on('data', (text: string) => {
      this.#received += text;
      this.#read();
    });
  }

  post(path: string, body: string, onAnswer: (answer: Answer) => void): void {
    this.#waiting.push(onAnswer);
    this.socket.write(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  get unanswered(): number {
    return this.#waiting.length;
  }

  #read(): void {
    for (;;) {
      const head = this.#received.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#received.slice(0, head))?.[1]);
      if (this.#received.length < head + 4 + length) return;
      const body = this.#received.slice(head + 4, head + 4 + length);
      this.#received = this.#received.slice(head + 4 + length);
      this.#waiting.shift()!(JSON.parse(body));
    }
  }
}

/** Audio without silence, none of it alike nearby. */
function chunk(index: number): Buffer {
  const from = index * CHUNK_SAMPLES;
  return Buffer.from(Int16Array.from({ length: CHUNK_SAMPLES }, (_, i) => ((from + i) % 32_767) + 1).buffer);
}

function voiced(pieces: readonly Buffer[]): Buffer {
  const bytes = new Uint8Array(Buffer.concat(pieces));
  return Buffer.from(new Int16Array(bytes.buffer).filter((sample) => sample !== 0).buffer);
}

interface Client {
  readonly acknowledges: boolean;
  readonly connections: number;
  /** Milliseconds between requests. */
  readonly everyMs: number;
  /** Stops reading for this long, again and again. */
  readonly readsSlowlyMs?: number;
}

async function play({ acknowledges, connections, everyMs, readsSlowlyMs }: Client): Promise<void> {
  const call = new TestCall(gateway.url, `overlap-${++calls}`);
  expect((await call.create({ sampleRate: 24_000 })).status).toBe(200);
  const lines = Array.from({ length: connections }, () => new Pipeline(gateway.url));
  const heard: Buffer[] = [];
  let ack = -1;
  let statuses = 0;
  let requests = 0;
  const send = (body: object) => {
    const asked = ack;
    const query = acknowledges ? `?poll=1&ack=${asked}` : '?poll=1';
    lines[requests++ % lines.length]!.post(
      `/api/voice/stream/${call.callId}${query}`,
      JSON.stringify(body),
      ({ audio, seq, status }) => {
        if (status === 'streamed') statuses += 1;
        // Of what it has by now, an acknowledging client does not want the beginning again.
        if (acknowledges && asked !== ack) return;
        if (audio !== undefined) heard.push(Buffer.from(audio, 'base64'));
        ack = Math.max(ack, seq ?? -1);
      },
    );
  };
  const reading = readsSlowlyMs
    ? setInterval(() => {
        const { socket } = lines[0]!;
        if (socket.isPaused()) socket.resume();
        else socket.pause();
      }, readsSlowlyMs)
    : undefined;
  try {
    for (let i = 0; i < CHUNKS; i++) {
      send({ audio: chunk(i).toString('base64'), chunkSeq: i });
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    const sent = Buffer.concat(Array.from({ length: CHUNKS }, (_, i) => chunk(i)));
    await eventually(async () => {
      if (lines.every(({ unanswered }) => unanswered < 4)) send({ dtmf: '1' });
      await new Promise((resolve) => setTimeout(resolve, 20));
      return voiced(heard).length >= sent.length;
    }, 40_000);
    expect(Buffer.compare(voiced(heard), sent)).toBe(0);
    expect(lines.some(({ isBroken }) => isBroken)).toBe(false);
    clearInterval(reading);
    lines[0]!.socket.resume();
    await eventually(() => lines.every(({ unanswered }) => unanswered === 0));
    expect(statuses).toBe(requests);
  } finally {
    clearInterval(reading);
    for (const { socket } of lines) socket.destroy();
    await call.end();
  }
}

describe('requests of one call that overlap', () => {
  it.each<[string, Client]>([
    ['back to back on one connection, without ack', { acknowledges: false, connections: 1, everyMs: 0 }],
    ['back to back on one connection, with ack', { acknowledges: true, connections: 1, everyMs: 0 }],
    ['on schedule on one connection, without ack', { acknowledges: false, connections: 1, everyMs: 15 }],
    ['on schedule on four connections, with ack', { acknowledges: true, connections: 4, everyMs: 15 }],
    ['on schedule, read slowly, without ack', { acknowledges: false, connections: 1, everyMs: 15, readsSlowlyMs: 150 }],
    ['on schedule, read slowly, with ack', { acknowledges: true, connections: 3, everyMs: 15, readsSlowlyMs: 150 }],
  ])('%s', (_name, client) => play(client));

  it('of many calls at once', async () => {
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        play({ acknowledges: i % 2 === 0, connections: i % 2 === 0 ? 3 : 1, everyMs: 25 }),
      ),
    );
  });
});
