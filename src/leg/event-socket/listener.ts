import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { LEG_REFUSALS } from '../../metrics/labels.ts';
import { LegError } from '../errors.ts';
import { EventSocket } from './event-socket.ts';
import type { Fields } from './message.ts';

/** Connections that have not said whose they are. FreeSWITCH says it at once, so the oldest of too many is none of its. */
const MAX_SILENT = 200;

/** Why a connection came to nothing. */
export type Refusal = (typeof LEG_REFUSALS)[number];

export interface SwitchListenerOptions {
  readonly host: string;
  readonly port: number;
  /** Addresses that may connect. */
  readonly switches: readonly string[];
  readonly log: Logger;
  /** A call: its channel is told, and it is the taker's to close. */
  readonly onCall: (socket: EventSocket, channel: Fields) => void;
  readonly onRefused: (why: Refusal) => void;
}

/** Where FreeSWITCH connects to, once for each call. Whoever creates it closes it. */
export class SwitchListener {
  readonly #options: SwitchListenerOptions;
  readonly #server: Server;
  /** In the order in which they came. */
  readonly #silent = new Set<EventSocket>();

  constructor(options: SwitchListenerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => void this.#accept(socket));
  }

  /**
   * @returns the port it listens on
   * @throws {Error} when nobody can listen there
   */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    // Out of descriptors, say: the next connection finds it as it was.
    this.#server.on('error', (err) => this.#options.log.error({ err }, 'the event socket cannot take a connection'));
    return (this.#server.address() as { port: number }).port;
  }

  /** Takes no more calls. Those that are there go on. Idempotent. */
  close(): void {
    this.#server.close();
    for (const socket of this.#silent) socket.destroy();
  }

  async #accept(connection: Socket): Promise<void> {
    const { switches, onCall, onRefused } = this.#options;
    const socket = new EventSocket(connection);
    if (!switches.includes(plainAddress(socket.remoteAddress))) {
      this.#refused('stranger', new LegError('garbage', 'its address is not that of a switch'));
      socket.destroy();
      return;
    }
    if (this.#silent.size >= MAX_SILENT) this.#silent.values().next().value!.destroy();
    this.#silent.add(socket);
    try {
      const channel = await socket.command('connect');
      if (!channel.has('unique-id')) throw new LegError('garbage', 'it names no channel');
      onCall(socket, channel);
    } catch (error) {
      const { code } = error as LegError;
      onRefused(code === 'no_reply' || code === 'closed' ? 'silent' : 'garbage');
      this.#options.log.debug({ err: error }, 'a connection to the event socket was no call');
      socket.destroy();
    } finally {
      this.#silent.delete(socket);
    }
  }

  #refused(why: Refusal, error: LegError): void {
    this.#options.onRefused(why);
    this.#options.log.warn({ reason: error.message }, 'a connection to the event socket was refused');
  }
}

/** An IPv4 address as it is written without IPv6. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
