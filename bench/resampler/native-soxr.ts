import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Contestant, Conversion } from './contestant.ts';

/** libsoxr on this machine, or why it is not here. */
export type NativeSoxr =
  | { readonly contestant: Contestant; readonly missing?: never; close(): void }
  | { readonly contestant?: never; readonly missing: string; close(): void };

/**
 * Compiles `bench/native/soxr.c` against the machine's libsoxr into a temporary folder, which `close` removes.
 *
 * @param chunksPerRound how many chunks a call of `time` converts; it must be called with the same number.
 */
export function openNativeSoxr(chunksPerRound: number): NativeSoxr {
  const folder = mkdtempSync(join(tmpdir(), 'bench-soxr-'));
  const close = () => rmSync(folder, { recursive: true, force: true });
  const program = join(folder, 'soxr');
  const source = fileURLToPath(new URL('../native/soxr.c', import.meta.url));
  const compiled = spawnSync('cc', ['-O2', '-o', program, source, '-lsoxr', '-lm'], { encoding: 'utf8' });
  if (compiled.error || compiled.status !== 0) {
    const why = compiled.error ? 'no C compiler (cc)' : (compiled.stderr.split('\n').find(Boolean) ?? 'cc failed');
    return { missing: /soxr\.h/.test(compiled.stderr ?? '') ? 'no libsoxr-dev' : why, close };
  }
  const { stdout } = spawnSync(program, ['version'], { encoding: 'utf8' });
  const contestant: Contestant = {
    name: `native ${stdout.trim()} HQ`,
    open: async (fromHz, toHz) => openConversion(program, fromHz, toHz, chunksPerRound),
  };
  return { contestant, close };
}

function openConversion(program: string, fromHz: number, toHz: number, chunksPerRound: number): Conversion {
  let timer: Timer | undefined;
  return {
    async convert(chunks) {
      const chunkLength = chunks[0]?.length ?? 1;
      const bytes = Buffer.concat(chunks.map((c) => Buffer.from(c.buffer, c.byteOffset, c.byteLength)));
      const { status, stdout, stderr } = spawnSync(program, ['convert', `${fromHz}`, `${toHz}`, `${chunkLength}`], {
        input: bytes,
        maxBuffer: 2 ** 30,
      });
      if (status !== 0) throw new Error(`native libsoxr failed: ${stderr}`);
      return new Int16Array(new Uint8Array(stdout).buffer);
    },
    async time(chunk, count) {
      if (count !== chunksPerRound) throw new RangeError(`rounds are of ${chunksPerRound} chunks, not ${count}`);
      timer ??= startTimer(program, ['time', `${fromHz}`, `${toHz}`, `${chunk.length}`, `${count}`]);
      return timer.round();
    },
    close: async () => timer?.close(),
  };
}

interface Timer {
  round(): Promise<number>;
  close(): Promise<void>;
}

/** A process of its own, which converts only while a round of it is waited for. */
function startTimer(program: string, args: readonly string[]): Timer {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async round() {
      child.stdin.write('.');
      const { value, done } = await lines.next();
      if (done) throw new Error('native libsoxr ended early');
      return Number(value);
    },
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}
