/** `npm run fuzz:store -- --rounds 1000 --seed 1`: that many times kill -9 in the middle of writes, and what came of it. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killRounds } from './store-kills.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
const directory = mkdtempSync(join(tmpdir(), 'store-kills-'));
const startedAtMs = performance.now();
const seconds = () => Math.round((performance.now() - startedAtMs) / 1000);
process.stdout.write(`${rounds} rounds, seed ${seed}\n`);
const { durable, delivered, posts, failures } = await killRounds(directory, rounds, seed, (done) => {
  if (done % 50 === 0) process.stdout.write(`${done} / ${rounds}, ${seconds()} s\n`);
});
const megabytes = (statSync(join(directory, 'calls.sqlite')).size / 1e6).toFixed(1);
rmSync(directory, { recursive: true });
process.stdout.write(
  [
    `${rounds} kills in ${seconds()} s: ${durable} calls were on the disk, ${delivered} summaries arrived in ${posts} requests, the file has ${megabytes} MB`,
    ...failures.slice(0, 50),
    failures.length === 0 ? 'nothing went wrong' : `${failures.length} things went wrong`,
    '',
  ].join('\n'),
);
process.exitCode = failures.length === 0 ? 0 : 1;
