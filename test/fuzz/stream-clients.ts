import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';

/** What a client of a streamed call does wrong, or what happens to it. */
export const MISHAPS = {
  /** Its process is killed: the system resets the connection, since there is audio that it has not read. */
  killed: async (client) => {
    await client.speak(client.random.int(1, 40));
    client.socket.resetAndDestroy();
  },
  /** It goes in the middle of a chunk. */
  cut_off: async (client) => {
    await client.speak(client.random.int(0, 10));
    client.socket.write('a0\r\nhalf');
    client.socket.destroy();
  },
  /** Its machine is gone: nothing is said and nothing read any more, and the connection stays. */
  half_open: async (client) => {
    await client.speak(client.random.int(0, 20));
    client.socket.pause();
    client.isAbandoned = true;
  },
  /** It speaks on and reads nothing. */
  never_reads: async (client) => {
    client.socket.pause();
    await client.speak(client.random.int(100, 200));
    client.socket.resetAndDestroy();
  },
  /** It hangs up as it should. */
  hangs_up: async (client) => {
    await client.speak(client.random.int(1, 20));
    client.socket.write('0\r\n\r\n');
    await client.ended;
  },
  ends_at_once: async (client) => {
    client.socket.write('0\r\n\r\n');
    await client.ended;
  },
  broken_framing: async (client) => {
    await client.speak(client.random.int(0, 5));
    client.socket.write(
      client.random.pick(['zz\r\nhello\r\n', '-5\r\n', 'ffffffffffffffff\r\n', '5\r\nhello!!\r\n', '\0\0\0']),
    );
    await client.ended;
  },
  /** Faster than anybody speaks. */
  too_fast: async (client) => {
    client.write(Buffer.alloc(8 * 11_000, 0xff));
    await client.ended;
  },
  /** One byte a chunk, in any cut. */
  crumbs: async (client) => {
    for (let i = 0; i < 300; i++) client.socket.write('1\r\nx\r\n');
    await sleep(client.random.int(0, 200));
    client.socket.destroy();
  },
  /** It never sends anything, nor does it go. */
  silent: async (client) => {
    client.isAbandoned = true;
  },
} as const satisfies Record<string, (client: StreamClient) => Promise<void>>;

export type Mishap = keyof typeof MISHAPS;

/** Requests that are refused before any byte of audio: by status. */
export const REFUSED: readonly { readonly query: string; readonly type: string; readonly status: number }[] = [
  { query: 'lead=5', type: 'audio/pcmu', status: 400 },
  { query: 'out=mp3', type: 'audio/pcmu', status: 400 },
  { query: 'frame=100&lead=60', type: 'audio/pcmu', status: 400 },
  { query: '', type: 'audio/pcm;rate=12345', status: 415 },
  { query: '', type: 'audio/wav', status: 415 },
  { query: '', type: 'text/plain', status: 415 },
];

/** One connection on which a call is streamed. */
export class StreamClient {
  readonly random: Random;
  readonly socket: Socket;
  /** The connection is closed, by whichever side. */
  readonly ended: Promise<void>;
  /** Its connection stays open, and nobody is there. */
  isAbandoned = false;
  /** The status of the answer; 0 when there was none. */
  status = 0;

  /** @param path of the request, with its query */
  constructor(url: string, path: string, type: string, random: Random) {
    const { hostname, port, host } = new URL(url);
    this.random = random;
    const socket = connect(Number(port), hostname);
    this.socket = socket;
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.once('data', (data) => {
      this.status = Number(/^HTTP\/1\.1 (\d+)/.exec(data.toString('latin1'))?.[1] ?? 0);
    });
    socket.on('end', () => socket.destroy());
    socket.resume();
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
  }

  /** Sends one chunk. */
  write(bytes: Buffer): void {
    this.socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  /** Sends that many frames of 20 ms, as fast as a telephone, or ends before when the connection does. */
  async speak(frames: number): Promise<void> {
    for (let i = 0; i < frames && !this.socket.destroyed; i++) {
      this.write(this.random.bytes(160));
      await sleep(20);
    }
  }
}
