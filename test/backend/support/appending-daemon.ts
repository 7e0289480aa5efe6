// Appends records without end, ten at a time, and tells the key of each when it is durable: <data directory>
import { pino } from 'pino';
import { SummaryJournal } from '../../../src/backend/summaries/summary-journal.ts';
import { summaryRecord } from './summaries.ts';

const [directory = ''] = process.argv.slice(2);
const journal = await SummaryJournal.open({
  directory,
  retentionDays: 30,
  log: pino({ level: 'silent' }),
  maxFileBytes: 20_000,
});

async function appendForever(): Promise<void> {
  for (;;) {
    const record = summaryRecord();
    await journal.append(record, true);
    process.stdout.write(`${record.idempotencyKey}\n`);
  }
}
await Promise.all(Array.from({ length: 10 }, appendForever));
