// Records calls and delivers their summaries until it is killed; tells each that is on the disk: <directory> <URL> <round>
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { SummaryDelivery } from '../../src/backend/summaries/summary-delivery.ts';
import { CallStore } from '../../src/workers/store/call-store.ts';
import { storeEntry } from '../backend/support/summaries.ts';

const CALLS_AT_ONCE = 16;

const [directory = '', url = '', round = ''] = process.argv.slice(2);
// What is wrong with the store is said at error.
const log = pino({ level: 'error' }, pino.destination({ dest: 2, sync: true }));
const store = await CallStore.open({ directory, retentionDays: 30, log });
const delivery = new SummaryDelivery({
  store,
  log,
  remote: { url, apiKey: 'k' },
  backoff: { baseMs: 5, maxMs: 20 },
  timeoutMs: 5_000,
});
if (round === 'last') {
  while (delivery.pending > 0) await delivery.flush(60_000);
  await delivery.close();
  await store.close();
} else {
  let count = 0;
  const recordForever = async () => {
    for (;;) {
      count += 1;
      const entry = storeEntry(`round-${round}-call-${count}`, randomUUID());
      await delivery.record(entry);
      if (store.state.isUp) process.stdout.write(`${entry.id} ${entry.call?.callId}.\n`);
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, recordForever));
}
