/**
 * Compiles `src/` to `dist/`. With `--if-needed` it does nothing when the last build is newer than every source, so
 * that `npm start` on an unchanged tree starts at once.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const stamp = join(dist, '.built');

function newestMtimeMs(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return newest;
}

function isFresh(): boolean {
  const builtAt = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const inputs = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.ts'];
  const newestInput = Math.max(
    newestMtimeMs(join(root, 'src')),
    ...inputs.map((file) => statSync(join(root, file)).mtimeMs),
  );
  return builtAt > newestInput;
}

function run(command: string, args: string[]): void {
  const { status, error } = spawnSync(join(root, 'node_modules', '.bin', command), args, {
    cwd: root,
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (!process.argv.includes('--if-needed') || !isFresh()) {
  rmSync(dist, { recursive: true, force: true });
  run('tsc', ['-p', 'tsconfig.build.json']);
  writeFileSync(stamp, `${new Date().toISOString()}\n`);
}
