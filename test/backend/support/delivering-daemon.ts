// Records one summary and goes on until it is killed: <data directory> <backend URL> <idempotency key>
import { pino } from 'pino';
import { SummaryDelivery } from '../../../src/backend/summaries/summary-delivery.ts';
import { stdinEnded } from './child.ts';
import { summaryRecord } from './summaries.ts';

const [directory = '', url = '', key = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const delivery = await SummaryDelivery.open({ directory, retentionDays: 30, log, remote: { url, apiKey: 'k' } });
await delivery.record(summaryRecord('call-1', key));
console.log('recorded');
await stdinEnded();
await delivery.close();
