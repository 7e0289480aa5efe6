import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';

interface OpenFile {
  readonly fd: number;
  readonly isPipe: boolean;
  position: number;
}

const FLAGS: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  'r+': constants.O_RDWR,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
};

/** Files and FIFOs of the host, read and written without buffers, each call as blocking as the system's own. */
export class HostFiles {
  readonly #open = new Map<number, OpenFile>();

  /** Opening one end of a FIFO waits for the other, unless it is opened for both. @throws as `openSync` */
  open(path: string, mode: string): number {
    const flags = FLAGS[mode.replace('b', '')];
    if (flags === undefined) throw new Error(`mode ${mode} is not simulated`);
    const fd = openSync(path, flags, 0o600);
    this.#open.set(fd, { fd, isPipe: fstatSync(fd).isFIFO(), position: 0 });
    return fd;
  }

  /** Fills `target` as far as the file goes, waiting where a FIFO has nothing yet; returns the bytes read. */
  read(fd: number, target: Uint8Array): number {
    const file = this.#file(fd);
    let done = 0;
    while (done < target.length) {
      const count = readSync(fd, target, done, target.length - done, file.isPipe ? null : file.position);
      if (count === 0) break;
      if (!file.isPipe) file.position += count;
      done += count;
    }
    return done;
  }

  /** Writes everything; waits while a FIFO is full. @throws with code EPIPE when nobody reads any more */
  write(fd: number, bytes: Uint8Array): void {
    const file = this.#file(fd);
    let done = 0;
    while (done < bytes.length) {
      const count = writeSync(fd, bytes, done, bytes.length - done, file.isPipe ? null : file.position);
      if (!file.isPipe) file.position += count;
      done += count;
    }
  }

  seek(fd: number, position: number): void {
    this.#file(fd).position = position;
  }

  close(fd: number): void {
    this.#file(fd);
    this.#open.delete(fd);
    closeSync(fd);
  }

  /** What a Lua state does with its files when it ends. */
  closeAll(): void {
    for (const fd of this.#open.keys()) closeSync(fd);
    this.#open.clear();
  }

  #file(fd: number): OpenFile {
    const file = this.#open.get(fd);
    if (!file) throw new Error(`file ${fd} is not open`);
    return file;
  }
}
