/** Fuzzes a gateway of its own for as long as asked, and watches its memory: `npm run fuzz -- --inputs 100000`. */
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { TestCall } from '../support/call.ts';
import { QUIET_PROFILE, startGateway } from '../support/gateway.ts';
import { fuzz } from './fuzz.ts';

const { inputs, seed } = new Command('fuzz')
  .description('Throws random requests at a gateway: no 5xx, no crash, no memory growth.')
  .option('--inputs <count>', 'how many', Number, 100_000)
  .option('--seed <number>', 'the same seed gives the same requests', Number, Date.now() % 1_000_000)
  .parse()
  .opts<{ inputs: number; seed: number }>();

/** A run may end with this much more memory than it had after its first tenth. */
const MAX_GROWTH_MB = 150;

const gateway = await startGateway({ profiles: { quiet: QUIET_PROFILE }, env: { SESSION_WORKERS: '1' } });
const callIds = ['fuzz-a', 'fuzz-b', 'fuzz-c'];
for (const callId of callIds) {
  await new TestCall(gateway.url, callId).create({
    aiAgentRef: 'quiet',
    encoding: callId === 'fuzz-c' ? 'pcmu' : 'pcm16',
  });
}
const rssMb = () => process.memoryUsage().rss / 1024 / 1024;
let warmMb = 0;
const bar = new SingleBar({ format: '  {bar} {value} of {total} requests, {eta_formatted} left' });
bar.start(inputs, 0);
const report = await fuzz(gateway.url, callIds, inputs, seed, (done) => {
  if (done === Math.floor(inputs / 10)) warmMb = rssMb();
  if (done % 500 === 0) bar.update(done);
});
bar.stop();
const growthMb = rssMb() - warmMb;
const alive = await Promise.all(callIds.map((callId) => new TestCall(gateway.url, callId).info()));
await gateway.stop();

process.stdout.write(`${report.inputs} inputs, seed ${seed}\n`);
process.stdout.write(`answers by status ${JSON.stringify(report.statuses)}\n`);
process.stdout.write(`memory after a tenth ${warmMb.toFixed(0)} MB, at the end ${(warmMb + growthMb).toFixed(0)} MB\n`);
for (const failure of report.failures.slice(0, 20)) process.stdout.write(`${JSON.stringify(failure)}\n`);
const allActive = alive.every(({ body }) => body.status === 'active');
if (!allActive) process.stdout.write('a call did not survive\n');
const isGood = report.failures.length === 0 && growthMb < MAX_GROWTH_MB && allActive;
process.stdout.write(isGood ? 'no 5xx, no crash, no memory growth\n' : 'FAILED\n');
process.exit(isGood ? 0 : 1);
