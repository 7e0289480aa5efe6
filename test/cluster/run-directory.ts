import { RedisDirectory } from '../../src/cluster/redis/redis-directory.ts';
import { checkDirectory } from './directory-check.ts';
import { hasRedis, startRedis } from './support/redis-server.ts';

// npm run fuzz:cluster [-- OPERATIONS [SEED]]
const operations = Number(process.argv[2] ?? 10_000);
const seed = Number(process.argv[3] ?? 1);
if (!hasRedis) process.exit(1);
const redis = await startRedis();
const directories = await Promise.all(Array.from({ length: 5 }, () => RedisDirectory.open(redis.url)));
const report = await checkDirectory({ seed, operations, directories });
await Promise.all(directories.map((directory) => directory.close()));
await redis.close();
const { violations, ...counts } = report;
process.stdout.write(`seed ${seed}: ${JSON.stringify(counts)}\n`);
for (const violation of violations) process.stdout.write(`${violation}\n`);
process.stdout.write(violations.length === 0 ? 'one owner at any time, and epochs only rose\n' : 'WRONG\n');
process.exit(violations.length === 0 ? 0 : 1);
