import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** V8's CPU profile, as `--cpu-prof` writes it. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds between samples. */
  readonly timeDeltas: readonly number[];
}

/** A function and the time spent in it, not counting what it calls. */
export interface SelfTime {
  /** Name and place: `deliver session.js:180`. */
  readonly name: string;
  readonly selfMs: number;
}

/** Where one thread's time went. */
export interface ThreadProfile {
  readonly thread: string;
  readonly busyMs: number;
  readonly idleMs: number;
  /** The longest first. */
  readonly functions: readonly SelfTime[];
}

/** Where a thread waits for work; Piscina's threads do it inside a call, which looks busy and is not. */
const IDLE = new Set(['(idle)', 'atomicsWaitLoop']);
const NOT_JAVASCRIPT = new Set(['(program)', '(garbage collector)', '(root)']);

export function threadProfile(thread: string, { nodes, samples, timeDeltas }: CpuProfile): ThreadProfile {
  const names = new Map<number, string>();
  for (const { id, callFrame } of nodes) names.set(id, nameOf(callFrame));
  const times = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const name = names.get(id)!;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[i]! / 1000);
  }
  let idleMs = 0;
  let busyMs = 0;
  const functions: SelfTime[] = [];
  for (const [name, selfMs] of times) {
    if (name === '(idle)') idleMs += selfMs;
    else {
      busyMs += selfMs;
      functions.push({ name, selfMs });
    }
  }
  return { thread, busyMs, idleMs, functions: functions.sort((a, b) => b.selfMs - a.selfMs) };
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  if (IDLE.has(functionName)) return '(idle)';
  if (NOT_JAVASCRIPT.has(functionName)) return functionName;
  if (url === '') return `${functionName || '(anonymous)'} native`;
  const file = url.startsWith('node:') ? url : url.split('/').slice(-2).join('/');
  return `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}

/** Threads alike are told as one: what the thread is, by a file that only it runs. */
function kindOf({ nodes }: CpuProfile): string {
  const ran = (file: string) => nodes.some(({ callFrame }) => callFrame.url.includes(file));
  if (ran('/workers/session/worker.')) return 'session workers';
  if (ran('/workers/audio/task.')) return 'audio pool';
  return ran('/main/cli.') ? 'main thread' : 'other';
}

/** The profiles of a folder, threads of a kind together; the busiest kind first. */
export function readProfiles(folder: string): ThreadProfile[] {
  const kinds = new Map<string, { threads: number; profiles: ThreadProfile[] }>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
    const kind = kindOf(profile);
    const group = kinds.get(kind) ?? { threads: 0, profiles: [] };
    group.threads += 1;
    group.profiles.push(threadProfile(basename(file), profile));
    kinds.set(kind, group);
  }
  return [...kinds]
    .map(([kind, { threads, profiles }]) => together(threads === 1 ? kind : `${kind} (${threads} threads)`, profiles))
    .sort((a, b) => b.busyMs - a.busyMs);
}

function together(thread: string, profiles: readonly ThreadProfile[]): ThreadProfile {
  const times = new Map<string, number>();
  for (const { functions } of profiles) {
    for (const { name, selfMs } of functions) times.set(name, (times.get(name) ?? 0) + selfMs);
  }
  const functions = [...times].map(([name, selfMs]) => ({ name, selfMs })).sort((a, b) => b.selfMs - a.selfMs);
  const sum = (of: (profile: ThreadProfile) => number) => profiles.reduce((total, profile) => total + of(profile), 0);
  return { thread, busyMs: sum(({ busyMs }) => busyMs), idleMs: sum(({ idleMs }) => idleMs), functions };
}

/** Lists the functions that took most of each kind of thread's time. */
export function printProfiles(folder: string, output: NodeJS.WritableStream, top = 20): void {
  for (const { thread, busyMs, functions } of readProfiles(folder)) {
    output.write(`\n${thread}: ${(busyMs / 1000).toFixed(1)} s busy\n`);
    for (const { name, selfMs } of functions.slice(0, top)) {
      output.write(`  ${((100 * selfMs) / busyMs).toFixed(1).padStart(5)} %  ${name}\n`);
    }
  }
}

if (import.meta.main) printProfiles(process.argv[2] ?? '.', process.stdout, Number(process.argv[3] ?? 30));
