/**
 * `npm run fuzz -- --inputs 100000 --seed 1`: sends that many inputs to every route and says what came of it; then has
 * strangers without a key do their worst, each on one connection, and says how long `/health` took meanwhile.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzzer.ts';
import { measureStrangers } from './stranger.ts';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const count = Number(values.inputs);
const seed = Number(values.seed);
const startedAtMs = performance.now();
const seconds = () => (performance.now() - startedAtMs) / 1000;

process.stdout.write(`${count} inputs, seed ${seed}\n`);
const result = await fuzz(count, seed, (done) => {
  if (process.stdout.isTTY) process.stdout.write(`\r${done} / ${count}, ${Math.round(done / seconds())} a second `);
  else if (done % 10_000 === 0 && done < count)
    process.stdout.write(`${done} / ${count}, ${Math.round(done / seconds())} a second\n`);
});
const mb = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MB`;
process.stdout.write(
  [
    `\n${result.inputs} inputs in ${seconds().toFixed(0)} s`,
    `answers: ${Object.entries(result.byStatus)
      .map(([status, times]) => `${status}: ${times}`)
      .join(', ')}`,
    `heap after collection: ${result.heapGrowthBytes < 0 ? '−' : '+'}${mb(Math.abs(result.heapGrowthBytes))} from a quarter of the way to the end`,
    `resident memory: ${mb(result.rssBytes.quarter)} at a quarter, ${mb(result.rssBytes.end)} at the end`,
    ...result.failures,
    result.failures.length === 0 ? 'nothing went wrong' : `${result.failures.length} things went wrong`,
    '',
  ].join('\n'),
);
process.stdout.write(
  'a stranger without a key, on one connection; /health on another (median, worst), and the longest stretch of CPU:\n',
);
for (const { attack, medianMs, worstMs, stretchMs, rssGrowthMb, outcome } of await measureStrangers()) {
  const times = [medianMs, worstMs, stretchMs].map((ms) => `${ms.toFixed(1)} ms`.padStart(9)).join(' ');
  const growth = `${rssGrowthMb < 0 ? '−' : '+'}${Math.abs(rssGrowthMb).toFixed(0)} MB`.padStart(8);
  process.stdout.write(`  ${attack.padEnd(34)} ${times} ${growth}  ${outcome}\n`);
}
process.exitCode = result.failures.length === 0 && result.heapGrowthBytes < 32 * 1_048_576 ? 0 : 1;
