import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HostFiles } from './host-files.ts';
import { createLuaVm } from './lua-vm.ts';
import { Media } from './media.ts';
import { FLAG, type SharedCall } from './shared-call.ts';

/** A thread of FreeSWITCH that runs a script: the call's own, or one that `luarun` started. */
export interface LuaThreadData {
  readonly script: string;
  /** `argv[0]` and the arguments. */
  readonly argv: readonly string[];
  readonly uuid: string;
  readonly call: SharedCall;
  /** What the session has; undefined for threads of `luarun`. */
  readonly session:
    | {
        readonly codec: string;
        readonly isAnswered: boolean;
        readonly variables: Record<string, string>;
        /** What `create_uuid` gives; default: a new one. */
        readonly newUuid: string | undefined;
      }
    | undefined;
  readonly port: MessagePort;
  /** Raised when the answer to a request is on the port. */
  readonly answered: Int32Array;
}

/** To the test's thread. */
export type FromLuaThread =
  | { readonly kind: 'log'; readonly level: string; readonly text: string }
  | { readonly kind: 'luarun'; readonly argument: string }
  | { readonly kind: 'curl'; readonly argument: string }
  | { readonly kind: 'shell'; readonly command: string }
  | { readonly kind: 'recording'; readonly argument: string }
  | { readonly kind: 'playback'; readonly path: string }
  | { readonly kind: 'variable'; readonly name: string; readonly value: string }
  | { readonly kind: 'transfer'; readonly extension: string; readonly dialplan: string; readonly context: string }
  | { readonly kind: 'hangup'; readonly cause: string };

const { script, argv, uuid, call, session, port, answered } = workerData as LuaThreadData;
const files = new HostFiles();
const media = new Media(call, session?.codec ?? 'PCMU');
const variables: Record<string, string> = { ...session?.variables };
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let isAnswered = session?.isAnswered ?? false;

const tell = (message: FromLuaThread) => port.postMessage(message);

/** Blocks this thread until the test's thread has the answer, as mod_curl does. */
function curl(argument: string): string {
  Atomics.store(answered, 0, 0);
  tell({ kind: 'curl', argument });
  Atomics.wait(answered, 0, 0);
  return (receiveMessageOnPort(port)!.message as { output: string }).output;
}

function api(command: string, argument: string): string {
  switch (command) {
    case 'curl':
      return curl(argument);
    case 'luarun':
      tell({ kind: 'luarun', argument });
      return '+OK\n';
    case 'create_uuid':
      return session?.newUuid ?? randomUUID();
    case 'uuid_exists':
      return String(argument === uuid && Atomics.load(call.flags, FLAG.exists) === 1);
    case 'uuid_record': {
      const [id, verb, path] = argument.split(' ');
      if (id !== uuid || verb !== 'stop') throw new Error(`uuid_record ${argument} is not simulated`);
      media.stopRecording(path);
      return '+OK Success\n';
    }
    default:
      throw new Error(`the api command ${command} is not simulated`);
  }
}

function attempt<T>(action: () => T): T | [undefined, string] {
  try {
    return action();
  } catch (error) {
    return [undefined, String((error as NodeJS.ErrnoException).code ?? error)];
  }
}

const vm = await createLuaVm(
  files,
  {
    host_open: (path: string, mode: string) => attempt(() => files.open(path, mode)),
    host_seek: (fd: number, position: number) => files.seek(fd, position),
    host_close: (fd: number) => files.close(fd),
    // As C's `remove`, which takes empty folders too.
    host_remove: (path: string) =>
      attempt(() => {
        if (lstatSync(path).isDirectory()) rmdirSync(path);
        else unlinkSync(path);
        return true;
      }),
    host_shell: (command: string) => {
      tell({ kind: 'shell', command });
      return spawnSync('/bin/sh', ['-c', command]).status;
    },
    host_log: (level: string, text: string) => tell({ kind: 'log', level, text }),
    host_sleep: (ms: number) => {
      Atomics.wait(sleeper, 0, 0, ms);
    },
    host_time: () => String(Date.now() - (Date.now() % 20)),
    host_api: api,
    host_uuid: () => uuid,
    host_get_variable: (name: string) => variables[name],
    host_set_variable: (name: string, value: string) => {
      variables[name] = value;
      tell({ kind: 'variable', name, value });
    },
    host_answered: () => isAnswered,
    host_answer: () => {
      isAnswered = true;
    },
    host_ready: () => media.isReady(),
    host_is_hung_up: () => Atomics.load(call.flags, FLAG.exists) === 0,
    host_digit: () => media.takeDigit(),
    host_frame: (isPlaying: boolean) => media.frame(isPlaying),
    host_play_open: (path: string) => {
      tell({ kind: 'playback', path });
      return media.openPlayback(path);
    },
    host_play_close: () => media.closePlayback(),
    host_record: (argument: string) => {
      tell({ kind: 'recording', argument });
      media.startRecording(argument);
    },
    host_transfer: (extension: string, dialplan: string, context: string) => {
      // The script's session is over, the channel is not.
      Atomics.store(call.flags, FLAG.hungUp, 1);
      tell({ kind: 'transfer', extension, dialplan, context });
    },
    host_hangup: (cause: string) => {
      Atomics.store(call.flags, FLAG.hungUp, 1);
      if (media.isReady()) throw new Error('the hang-up was not noticed');
      tell({ kind: 'hangup', cause });
    },
  },
  { host_is_session: session !== undefined },
);
try {
  const list = argv.slice(1).map((argument) => `'${argument}'`);
  vm.run(`argv = {[0]='${argv[0]}', ${list.join(', ')}}`, '@arguments');
  vm.run(readFileSync(script, 'utf8'), `@${script}`);
} catch (error) {
  tell({ kind: 'log', level: 'err', text: `the script ended with an error: ${(error as Error).message}\n` });
} finally {
  media.stopRecording();
  media.closePlayback();
  files.closeAll();
  port.close();
}
