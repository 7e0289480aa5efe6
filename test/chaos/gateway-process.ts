import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const DAEMON = fileURLToPath(new URL('./daemon.ts', import.meta.url));

/** pino's number of a line that says that the process cannot go on. */
const FATAL = 60;
/** Errors that the language throws: nobody means to meet one, so whoever logs one has a defect. */
const DEFECTS = /^(Type|Range|Reference|Syntax|Assertion)Error$/;

/** What the log says of one call. */
export interface CallLog {
  lines: number;
  /** Lines about an error that only a defect throws. */
  defects: string[];
}

/** A daemon that leaves `/health` unanswered for so long is as good as dead. */
const HEALTH_MS = 10_000;

/** How a daemon came to its end. */
export interface Death {
  readonly atMs: number;
  /** The last it said on standard error. */
  readonly lastWords: string;
}

/** The daemon under test. It is started again when it dies. */
export class GatewayProcess {
  /** What it said that belongs to no call and should not have been said. */
  readonly complaints: string[] = [];
  readonly deaths: Death[] = [];
  readonly #env: Record<string, string>;
  readonly #calls = new Map<string, CallLog>();
  #child: ChildProcess | undefined;
  #gone: Promise<unknown> = Promise.resolve();
  #url: Promise<string> | undefined;
  #isClosing = false;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  /** Where it listens; started if it does not run. */
  url(): Promise<string> {
    this.#url ??= this.#start();
    return this.#url;
  }

  /** Waits for a daemon that is about to die to be dead; one that does not answer any more is killed. */
  async lookAfter(): Promise<void> {
    const child = this.#child;
    if (!child || this.#isClosing) return;
    const gone = this.#gone;
    try {
      await fetch(new URL('/health', await this.url()), { signal: AbortSignal.timeout(HEALTH_MS) });
      return;
    } catch {
      // Falls through: it is dying, or hangs.
    }
    const kill = setTimeout(() => child.kill('SIGKILL'), HEALTH_MS);
    if (this.#child === child) await gone;
    clearTimeout(kill);
  }

  /** What the log has said of a call, which is forgotten here. */
  takeLog(callId: string): CallLog {
    const log = this.#calls.get(callId) ?? { lines: 0, defects: [] };
    this.#calls.delete(callId);
    return log;
  }

  async #start(): Promise<string> {
    const child = spawn(process.execPath, [DAEMON], {
      env: { PATH: process.env['PATH'] ?? '', PORT: '0', ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#gone = once(child, 'exit');
    const lastLines: string[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => {
      lastLines.push(line);
      if (lastLines.length > 30) lastLines.shift();
    });
    child.once('exit', () => {
      if (this.#child !== child || this.#isClosing) return;
      this.#child = undefined;
      this.#url = undefined;
      this.deaths.push({ atMs: performance.now(), lastWords: lastLines.join('\n') });
    });
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const url = this.#read(line);
        if (url) resolve(url);
      });
      child.once('exit', () => reject(new Error(`the gateway ended before it listened:\n${lastLines.join('\n')}`)));
    });
  }

  /** Takes note of a line of the log. @returns the URL, if it says where the daemon listens */
  #read(line: string): string | undefined {
    let entry: { level?: number; msg?: string; url?: string; callId?: string; err?: { type?: string } };
    try {
      entry = JSON.parse(line);
    } catch {
      this.complaints.push(line);
      return undefined;
    }
    const { level = 0, msg = '', url, callId, err } = entry;
    const isDefect = level >= FATAL || DEFECTS.test(err?.type ?? '');
    if (callId === undefined) {
      if (isDefect) this.complaints.push(line);
    } else {
      const log = this.#calls.get(callId) ?? { lines: 0, defects: [] };
      this.#calls.set(callId, log);
      log.lines += 1;
      if (isDefect) log.defects.push(line);
    }
    return msg.startsWith('listening') ? url : undefined;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = this.#gone;
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(kill);
  }
}
