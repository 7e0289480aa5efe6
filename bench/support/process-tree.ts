import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts CPU time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly cpuSeconds: number;
}

/** CPU time so far of a process and all that it started, itself included; `name`: only of processes called so. */
export function cpuSecondsOf(pid: number, name = ''): number {
  const processes = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => read(Number(entry)))
    .filter((one) => one !== undefined);
  const tree = new Set([pid]);
  // Parents have smaller numbers than what they start, until numbers begin anew: go on until nothing is found.
  for (let size = 0; size < tree.size; ) {
    size = tree.size;
    for (const one of processes) if (tree.has(one.parent)) tree.add(one.pid);
  }
  return processes
    .filter((one) => tree.has(one.pid) && one.name.startsWith(name))
    .reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

function read(pid: number): Process | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name may have blanks and brackets in it.
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  return {
    pid,
    parent: Number(fields[1]),
    name: text.slice(text.indexOf('(') + 1, end),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
  };
}
