import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromGenerator, GeneratorJob, GeneratorReport, SpeechMark, ToGenerator } from './protocol.ts';

const GENERATOR_FILE = fileURLToPath(new URL('./generator.ts', import.meta.url));

/** A generator in its process. */
export class GeneratorProcess {
  readonly #child: ChildProcess;
  readonly #gone: Promise<unknown>;
  #onReport: (report: GeneratorReport) => void = () => {};
  readonly #ready = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();

  constructor() {
    // A group of its own: Ctrl-C reaches only us, and the calls are ended properly.
    this.#child = fork(GENERATOR_FILE, [], { detached: true, execArgv: [], serialization: 'advanced' });
    this.#gone = once(this.#child, 'exit');
    this.#ready.promise.catch(() => {});
    this.#done.promise.catch(() => {});
    this.#child.on('message', (message: FromGenerator) => this.#onMessage(message));
    this.#child.once('exit', (code) => this.#fail(new Error(`a generator ended with code ${code}`)));
    this.#child.once('error', (error) => this.#fail(error));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when the recordings are read. */
  prepare(job: GeneratorJob): Promise<void> {
    this.#send({ type: 'job', job });
    return this.#ready.promise;
  }

  /** Resolves when all calls have ended. */
  go(startMs: number, stopMs: number, onReport: (report: GeneratorReport) => void): Promise<void> {
    this.#onReport = onReport;
    this.#send({ type: 'go', startMs, stopMs });
    return this.#done.promise;
  }

  speechStarted(mark: SpeechMark): void {
    this.#send({ type: 'speech', mark });
  }

  stop(): void {
    this.#send({ type: 'stop' });
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#gone;
  }

  #onMessage(message: FromGenerator): void {
    switch (message.type) {
      case 'ready':
        this.#ready.resolve();
        break;
      case 'report':
        this.#onReport(message.report);
        break;
      case 'done':
        this.#done.resolve();
        break;
      case 'failed':
        this.#fail(new Error(message.message));
        break;
    }
  }

  #send(message: ToGenerator): void {
    if (this.#child.connected) this.#child.send(message);
  }

  #fail(error: Error): void {
    this.#ready.reject(error);
    this.#done.reject(error);
  }
}
