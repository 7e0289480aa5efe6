import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isAbsolute } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A script, of this folder unless its path is whole, in a process of its own, which talks by lines on stdout and ends when stdin does. */
export class Child {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  /** @param wrapper a command that is given the script's as its last arguments */
  constructor(script: string, args: readonly string[], wrapper: readonly string[] = []) {
    const path = isAbsolute(script) ? script : fileURLToPath(new URL(script, import.meta.url));
    const [command = process.execPath, ...rest] = [...wrapper, process.execPath, path, ...args];
    this.#process = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = once(this.#process, 'exit');
    const reader: Interface = createInterface({ input: this.#process.stdout! });
    this.#lines = reader[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** The next line; undefined when there are no more. */
  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  /** Kills it without a chance to clean up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  /** Lets it end by itself. */
  async end(): Promise<void> {
    this.#process.stdin?.end();
    await this.#ended;
  }
}

/** For scripts: resolves when the parent ended stdin. */
export async function stdinEnded(): Promise<void> {
  process.stdin.resume();
  await once(process.stdin, 'end');
}
