import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { LegError } from '../errors.ts';
import { isPortFree, type MediaPorts, type PortPair } from './ports.ts';

/** The two ends of a call's audio. */
export interface MediaAddresses {
  /** This end: where FreeSWITCH reached the leg. */
  readonly local: string;
  /** FreeSWITCH's. */
  readonly remote: string;
}

export interface MediaListener {
  /** A packet of the call's own switch. */
  onPacket(bytes: Buffer): void;
  /** A packet from somewhere else: it was not looked at. */
  onStranger(): void;
}

/** Pairs that are tried: others on the machine may have a port of the range. */
const MAX_ATTEMPTS = 10;

/** Addresses are known here: nothing is looked up, not even asynchronously. */
const lookup = ((host: string, _family: number, done: (error: null, address: string, family: number) => void) =>
  done(null, host, 4)) as never;

/** One call's UDP socket. Whoever opens it closes it. */
export class MediaSocket {
  readonly ports: PortPair;
  readonly #socket: Socket;
  readonly #remote: string;
  readonly #onClose: () => void;
  #isClosed = false;

  private constructor(socket: Socket, ports: PortPair, remote: string, listener: MediaListener, onClose: () => void) {
    this.#socket = socket;
    this.ports = ports;
    this.#remote = remote;
    this.#onClose = onClose;
    socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
      if (from.port === ports.remote && from.address === remote) listener.onPacket(bytes);
      else listener.onStranger();
    });
    // What cannot be sent is lost, as on any network.
    socket.on('error', () => {});
  }

  /** @throws {LegError} `no_port` */
  static async open(pool: MediaPorts, addresses: MediaAddresses, listener: MediaListener): Promise<MediaSocket> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const ports = pool.take();
      const socket = await bound(addresses.local, ports.local);
      if (socket && (await isPortFree(addresses.remote, ports.remote))) {
        return new MediaSocket(socket, ports, addresses.remote, listener, () => pool.giveBack(ports));
      }
      socket?.close();
      pool.giveBack(ports);
    }
    throw new LegError('no_port', `${MAX_ATTEMPTS} ports for audio in a row are used by somebody else`);
  }

  send(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.send(bytes, this.ports.remote, this.#remote);
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
    this.#onClose();
  }
}

function bound(address: string, port: number): Promise<Socket | undefined> {
  const socket = createSocket({ type: 'udp4', lookup });
  return new Promise((resolve) => {
    socket.once('error', () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}
