import { createSocket } from 'node:dgram';
import { LegError } from '../errors.ts';

/** Two ports that belong to one call. */
export interface PortPair {
  /** The leg's. */
  readonly local: number;
  /** FreeSWITCH's, which it opens when it is told to. */
  readonly remote: number;
}

/** The ports for calls' audio, in pairs. */
export class MediaPorts {
  readonly #first: number;
  readonly #pairCount: number;
  readonly #taken = new Set<number>();
  #next = 0;

  /** @param range both ends belong to it */
  constructor({ first, last }: PortRange) {
    this.#first = first;
    this.#pairCount = Math.floor((last - first + 1) / 2);
  }

  /** Pairs that are free. */
  get free(): number {
    return this.#pairCount - this.#taken.size;
  }

  /**
   * A pair of its own for a call. Those of calls that have just gone come last.
   * @throws {LegError} `no_port`
   */
  take(): PortPair {
    for (let tried = 0; tried < this.#pairCount; tried++) {
      const index = this.#next;
      this.#next = (index + 1) % this.#pairCount;
      if (this.#taken.has(index)) continue;
      this.#taken.add(index);
      const local = this.#first + 2 * index;
      return { local, remote: local + 1 };
    }
    throw new LegError('no_port', 'all ports for audio are taken');
  }

  /** Idempotent. */
  giveBack({ local }: PortPair): void {
    this.#taken.delete((local - this.#first) / 2);
  }
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Whether a UDP port of this machine is free. For one of another machine nobody can tell: it counts as free. */
export async function isPortFree(address: string, port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRNOTAVAIL'));
      socket.bind({ address, port, exclusive: true }, () => resolve(true));
    });
  } finally {
    socket.close();
  }
}
