import { once } from 'node:events';
import { closeSync, constants, lstatSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Agent, request } from 'undici';
import { aLawFromPcm16, muLawFromPcm16, pcm16FromALaw, pcm16FromMuLaw } from '../../../src/audio/g711.ts';
import type { FromLuaThread, LuaThreadData } from './lua-thread.ts';
import { type CurlOutcome, type CurlRequest, curlOutput, readCurlArguments } from './mod-curl.ts';
import { createSharedCall, FLAG, FRAME_SAMPLES, type SharedCall } from './shared-call.ts';

export const SCRIPT = fileURLToPath(new URL('../../../lua/ai_http_streaming.lua', import.meta.url));

export type Codec = 'PCMU' | 'PCMA';

export interface CallOptions {
  /** Codec of the call; anything but G.711 is for scripts that refuse it. Default PCMU. */
  readonly codec?: string;
  /** What the caller says from the answer on: samples at 8000 Hz. */
  readonly says?: Int16Array;
  /** Channel variables beside those every call has. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Default true: the dialplan has answered the call. */
  readonly isAnswered?: boolean;
  /** What `create_uuid` gives; default: a new one. */
  readonly newUuid?: string;
  /** Stands in for the network: what a request of the script gets without being sent. Undefined: it is sent. */
  readonly onCurl?: (argument: string) => string | undefined;
}

/** How a call left the script. */
export type Departure =
  | { readonly kind: 'transfer'; readonly extension: string; readonly context: string }
  | { readonly kind: 'hangup'; readonly cause: string }
  /** The caller hung up, or nothing was done with the call. */
  | { readonly kind: 'none' };

/** A stand-in for FreeSWITCH with one folder for the scripts' files. */
export class TestSwitch {
  readonly folder = mkdtempSync(join(tmpdir(), 'switch-'));
  readonly #calls: TestSwitchCall[] = [];

  /** Starts a call in the script. */
  call(options: CallOptions = {}): TestSwitchCall {
    const call = new TestSwitchCall(this.folder, options);
    this.#calls.push(call);
    return call;
  }

  /** Paths, in the folder, of what scripts have left in it: files and folders. */
  get files(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' });
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    for (const call of this.#calls) call.hangUp();
    // A thread that waits for the other end of a FIFO, or for something to read, could not be ended.
    const pipes = this.files
      .map((name) => join(this.folder, name))
      .filter((path) => lstatSync(path).isFIFO())
      .map((path) => openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
    for (const pipe of pipes) writeSync(pipe, Buffer.alloc(4096));
    await Promise.all(this.#calls.map((call) => call.terminate()));
    for (const pipe of pipes) closeSync(pipe);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

let callCount = 0;

/** A call that runs the script: a thread of its own, and those that the script starts. */
export class TestSwitchCall {
  readonly uuid = `00000000-0000-4000-8000-${String(++callCount).padStart(12, '0')}`;
  /** Lines of the console log, `level: text`. */
  readonly log: string[] = [];
  /** Shell commands and arguments of `luarun`, which others on the machine can see. */
  readonly commands: string[] = [];
  readonly requests: CurlRequest[] = [];
  readonly recordings: string[] = [];
  readonly playbacks: string[] = [];
  readonly variables: Record<string, string> = {};
  departure: Departure = { kind: 'none' };
  /** Resolves when the thread of the call has left the script. */
  readonly left: Promise<void>;
  readonly #shared: SharedCall;
  #saidSamples = 0;
  readonly #codec: string;
  readonly #options: CallOptions;
  readonly #threads = new Set<Worker>();
  readonly #exits: Promise<unknown>[] = [];
  readonly #failures: unknown[] = [];
  // mod_curl opens a connection for every request.
  readonly #agent = new Agent({ pipelining: 0 });

  constructor(folder: string, options: CallOptions) {
    this.#options = options;
    this.#codec = options.codec ?? 'PCMU';
    this.#shared = createSharedCall();
    if (options.says) this.say(options.says);
    const isG711 = this.#codec === 'PCMU' || this.#codec === 'PCMA';
    this.left = this.#start(['ai_http_streaming.lua'], {
      codec: this.#codec,
      isAnswered: options.isAnswered ?? true,
      newUuid: options.newUuid,
      variables: {
        read_codec: this.#codec,
        read_rate: isG711 ? '8000' : '16000',
        destination_number: '5406594427',
        caller_id_number: '393297626144',
        context: 'public',
        ai_run_dir: folder,
        ...options.variables,
      },
    });
  }

  /** Frames of 20 ms since the answer. */
  get frames(): number {
    return Atomics.load(this.#shared.flags, FLAG.frames);
  }

  /** Everything the caller has heard so far, G.711. */
  get heard(): Uint8Array {
    return this.#shared.hears.slice(0, this.frames * FRAME_SAMPLES);
  }

  /** Everything the caller says up to his last word, as it is on the wire: G.711. */
  get said(): Uint8Array {
    const says = this.#shared.says.slice(0, this.#saidSamples);
    return this.#codec === 'PCMA' ? aLawFromPcm16(says) : muLawFromPcm16(says);
  }

  /** Resolves when the switch has noticed the end of the call. */
  get isUp(): boolean {
    return Atomics.load(this.#shared.flags, FLAG.exists) === 1;
  }

  /** The caller says this from now on, and nothing of what he was saying. Samples at 8000 Hz. */
  say(samples: Int16Array): void {
    const { says } = this.#shared;
    const start = this.frames * FRAME_SAMPLES;
    const spoken = this.#codec === 'PCMA' ? pcm16FromALaw(aLawFromPcm16(samples)) : asHeard(samples);
    const room = spoken.subarray(0, says.length - start);
    says.set(room, start);
    says.fill(0, start + room.length);
    this.#saidSamples = start + room.length;
  }

  hangUp(): void {
    Atomics.store(this.#shared.flags, FLAG.hungUp, 1);
  }

  hangUpAtFrame(frame: number): void {
    Atomics.store(this.#shared.flags, FLAG.hangUpAtFrame, frame);
  }

  press(digits: string): void {
    for (const digit of digits) {
      const index = Atomics.load(this.#shared.flags, FLAG.digitsPressed);
      this.#shared.digits[index % this.#shared.digits.length] = digit.charCodeAt(0);
      Atomics.add(this.#shared.flags, FLAG.digitsPressed, 1);
    }
  }

  /** The recording leaves out the next frames. */
  skipCapturedFrames(count: number): void {
    Atomics.store(this.#shared.flags, FLAG.framesToSkip, count);
  }

  /** The caller puts the call on hold, or takes it back. */
  hold(isHeld = true): void {
    Atomics.store(this.#shared.flags, FLAG.held, isHeld ? 1 : 0);
  }

  /** `uuid_broadcast` of something that does not end by itself. */
  overlay(): void {
    Atomics.store(this.#shared.flags, FLAG.overlaid, 1);
  }

  /** `uuid_break`. */
  breakPlayback(): void {
    Atomics.add(this.#shared.flags, FLAG.breaks, 1);
  }

  /** Waits until `isTrue`, looked at after every frame of the call. @throws Error when the call is over before */
  async until(isTrue: (call: this) => boolean, what: string): Promise<void> {
    let isOver = false;
    const over = this.left.then(() => {
      isOver = true;
    });
    while (!isTrue(this)) {
      if (isOver) throw new Error(`the call ended before ${what}\n${this.log.join('\n')}`);
      const change = Atomics.waitAsync(this.#shared.flags, FLAG.frames, this.frames, 1000);
      await Promise.race([change.value, over]);
    }
  }

  /** Resolves when all threads of the call have ended. @throws Error when one of them crashed */
  async ended(): Promise<void> {
    await this.left;
    // A thread may start another one while this waits.
    for (let seen = 0; seen < this.#exits.length; ) {
      seen = this.#exits.length;
      await Promise.all(this.#exits);
    }
    await this.#agent.close();
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async terminate(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.terminate()));
    await this.#agent.destroy();
  }

  async #start(argv: readonly string[], session: LuaThreadData['session']): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(4));
    const data: LuaThreadData = {
      script: SCRIPT,
      argv,
      uuid: this.uuid,
      call: this.#shared,
      session,
      port: port2,
      answered,
    };
    const thread = new Worker(new URL('./lua-thread.ts', import.meta.url), {
      workerData: data,
      transferList: [port2],
      name: argv.join(' '),
    });
    this.#threads.add(thread);
    port1.on('message', (message: FromLuaThread) => this.#receive(message, port1, answered));
    thread.on('error', (error) => this.#failures.push(error));
    const exit = once(thread, 'exit').then(() => {
      this.#threads.delete(thread);
    });
    const closed = once(port1, 'close');
    const over = Promise.all([exit, closed]).then(() => {});
    this.#exits.push(over);
    await over;
  }

  #receive(message: FromLuaThread, port: MessagePort, answered: Int32Array): void {
    switch (message.kind) {
      case 'log':
        this.log.push(`${message.level}: ${message.text.trimEnd()}`);
        break;
      case 'luarun':
        this.commands.push(message.argument);
        void this.#start(message.argument.split(' '), undefined);
        break;
      case 'shell':
        this.commands.push(message.command);
        break;
      case 'recording':
        this.recordings.push(message.argument);
        break;
      case 'playback':
        this.playbacks.push(message.path);
        break;
      case 'variable':
        this.variables[message.name] = message.value;
        break;
      case 'transfer':
        this.departure = { kind: 'transfer', extension: message.extension, context: message.context };
        break;
      case 'hangup':
        this.departure = { kind: 'hangup', cause: message.cause };
        break;
      case 'curl':
        void this.#curl(message.argument).then((output) => {
          port.postMessage({ output });
          Atomics.store(answered, 0, 1);
          Atomics.notify(answered, 0);
        });
    }
  }

  async #curl(argument: string): Promise<string> {
    const instead = this.#options.onCurl?.(argument);
    const curl = readCurlArguments(argument);
    this.requests.push(curl);
    if (instead !== undefined) return instead;
    return curlOutput(curl, await perform(curl, this.#agent));
  }
}

/** One request on a connection of its own. */
async function perform(curl: CurlRequest, agent: Agent): Promise<CurlOutcome> {
  const signal = curl.timeoutMs === undefined ? null : AbortSignal.timeout(curl.timeoutMs);
  let status = 0;
  try {
    const answer = await request(curl.url, {
      method: curl.method,
      headers: { ...curl.headers, 'user-agent': 'freeswitch-curl/1.0' },
      body: curl.method === 'POST' ? curl.body : null,
      dispatcher: agent,
      signal,
      reset: true,
    });
    status = answer.statusCode;
    return { exitCode: 0, status, body: await answer.body.text() };
  } catch (error) {
    return { exitCode: curlExitCode(error, status), status, body: '' };
  }
}

function curlExitCode(error: unknown, status: number): number {
  const { name, code } = error as NodeJS.ErrnoException;
  if (name === 'TimeoutError' || name === 'AbortError') return 28;
  if (code === 'ECONNREFUSED') return 7;
  return status === 0 ? 52 : 56;
}

function asHeard(samples: Int16Array): Int16Array {
  return pcm16FromMuLaw(muLawFromPcm16(samples));
}
