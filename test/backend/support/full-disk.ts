// Writes what fits, what does not, and what fits again, under a limit of 8 KiB a file: <data directory>
import { pino } from 'pino';
import type { SummaryRecord } from '../../../src/backend/summaries/call-summary.ts';
import { SummaryJournal } from '../../../src/backend/summaries/summary-journal.ts';
import { summaryRecord } from './summaries.ts';

const [directory = ''] = process.argv.slice(2);
const journal = await SummaryJournal.open({ directory, retentionDays: 30, log: pino({ level: 'silent' }) });

function record(byteCount: number): SummaryRecord {
  const { summary, ...rest } = summaryRecord();
  return { ...rest, summary: { ...summary, transcript: ['x'.repeat(byteCount)] } };
}

for (const byteCount of [5_000, 5_000, 100]) {
  try {
    await journal.append(record(byteCount), true);
    console.log('written');
  } catch (error) {
    console.log(`${(error as { code: string }).code} ${((error as Error).cause as { code: string }).code}`);
  }
}
await journal.close();
