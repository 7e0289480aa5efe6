/**
 * `npm run fuzz:streams -- --clients 1000 --seed 1`: that many clients of streamed calls vanish, break and misbehave; then
 * says what is left of them.
 */
import { parseArgs } from 'node:util';
import { fuzzStreams } from './streams.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    together: { type: 'string', default: '40' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const clients = Number(values.clients);
const seed = Number(values.seed);
const startedAtMs = performance.now();
process.stdout.write(`${clients} clients, ${values.together} at a time, seed ${seed}\n`);
const { byMishap, handles, rssBytes, failures } = await fuzzStreams(clients, seed, {
  together: Number(values.together),
  onProgress: (done) => {
    if (process.stdout.isTTY) process.stdout.write(`\r${done} / ${clients} `);
    else if (done % 100 === 0) process.stdout.write(`${done} / ${clients}\n`);
  },
});
const mb = (bytes: number) => `${(bytes / 1_048_576).toFixed(0)} MB`;
process.stdout.write(
  [
    `\n${((performance.now() - startedAtMs) / 1000).toFixed(0)} s: ${Object.entries(byMishap)
      .map(([name, times]) => `${name} ${times}`)
      .join(', ')}`,
    ...(handles ? [`open handles: ${handles.before} after the first fifth, ${handles.after} at the end`] : []),
    ...(rssBytes
      ? [`resident memory: ${mb(rssBytes.early)} after the first fifth, ${mb(rssBytes.end)} at the end`]
      : []),
    ...failures,
    failures.length === 0 ? 'nothing was left behind' : `${failures.length} things went wrong`,
    '',
  ].join('\n'),
);
process.exitCode = failures.length === 0 ? 0 : 1;
