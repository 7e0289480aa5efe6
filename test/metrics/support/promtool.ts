import { spawnSync } from 'node:child_process';

/** Whether Prometheus's own checker is installed (Debian: `apt-get install prometheus`). */
export const HAS_PROMTOOL = spawnSync('promtool', ['--version']).error === undefined;

if (!HAS_PROMTOOL) process.stderr.write('promtool is not installed: rules and the scrape are not checked with it\n');

/** Runs promtool; `output` is all it said. */
export function promtool(args: readonly string[], input = '', cwd?: string): { status: number; output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8', cwd });
  return { status: status ?? -1, output: stdout + stderr };
}
