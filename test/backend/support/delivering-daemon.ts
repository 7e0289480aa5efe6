// Records one summary and goes on until it is killed: <data directory> <backend URL> <idempotency key>
import { pino } from 'pino';
import { SummaryDelivery } from '../../../src/backend/summaries/summary-delivery.ts';
import { CallStore } from '../../../src/workers/store/call-store.ts';
import { stdinEnded } from './child.ts';
import { storeEntry } from './summaries.ts';

const [directory = '', url = '', key = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const store = await CallStore.open({ directory, retentionDays: 30, log });
const delivery = new SummaryDelivery({ store, log, remote: { url, apiKey: 'k' } });
await delivery.record(storeEntry('call-1', key));
console.log('recorded');
await stdinEnded();
await delivery.close();
await store.close();
