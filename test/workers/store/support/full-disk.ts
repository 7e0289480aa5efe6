// Takes three calls on a disk that takes nothing, and tells when it has them: <data directory>
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { CallStore } from '../../../../src/workers/store/call-store.ts';
import { stdinEnded } from '../../../backend/support/child.ts';
import { storeEntry } from '../../../backend/support/summaries.ts';

const [directory = ''] = process.argv.slice(2);
const store = await CallStore.open({
  directory,
  retentionDays: 30,
  log: pino({ level: 'silent' }),
  backoff: { baseMs: 20, maxMs: 20 },
});
for (const callId of ['a', 'b', 'c']) await store.record(storeEntry(callId));
console.log(`unwritten ${store.state.unwritten}, up ${store.state.isUp}`);
while (store.state.unwritten > 0) await delay(20);
const { calls } = await store.search({ limit: 9 }, 'masked');
console.log(`unwritten 0, up ${store.state.isUp}, calls ${calls.length}`);
await stdinEnded();
await store.close();
