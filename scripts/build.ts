/**
 * Compiles `src/` to `dist/`, and makes the console's files of `console/` in `dist/console/`. With `--if-needed` it does
 * nothing when the last build is newer than every source, so that `npm start` on an unchanged tree starts at once.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

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
    newestMtimeMs(join(root, 'console')),
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

/**
 * Makes the session worker one CommonJS file. A thread then needs neither the module loader nor an object a module: 1.2 MB
 * less for each, and in dedicated mode there is one for every call.
 */
async function bundleSessionWorker(): Promise<void> {
  const file = join(dist, 'workers', 'session', 'worker');
  const bundle = await rolldown({
    input: `${file}.js`,
    platform: 'node',
    // What `ws` uses where somebody has installed it.
    external: ['bufferutil', 'utf-8-validate'],
  });
  await bundle.write({ file: `${file}.cjs`, format: 'cjs', comments: false, sourcemap: true });
  await bundle.close();
}

if (!process.argv.includes('--if-needed') || !isFresh()) {
  rmSync(dist, { recursive: true, force: true });
  run('tsc', ['-p', 'tsconfig.build.json']);
  await bundleSessionWorker();
  run('vite', ['build', '--config', join('console', 'vite.config.ts')]);
  writeFileSync(stamp, `${new Date().toISOString()}\n`);
}
