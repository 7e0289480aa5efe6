import { Type } from 'typebox';
import { subject } from '../subject.ts';

/** What is kept of calls. */
export const records = subject({
  title: 'What is kept',
  variables: {
    DATA_DIR: Type.String({
      default: './data',
      description: 'folder of the store of calls: their history, and summaries to be delivered',
    }),
    JOURNAL_RETENTION_DAYS: Type.Integer({
      minimum: 0,
      maximum: 3650,
      default: 30,
      description: 'days that calls (personal data) stay in the history; 0 keeps none once their summary is delivered',
    }),
    RECORDING_RETENTION_DAYS: Type.Integer({
      minimum: 1,
      maximum: 3650,
      default: 30,
      description: 'days that recordings are kept, of agents whose profile has `recording`',
    }),
    RECORDING_MIN_FREE_MB: Type.Integer({
      minimum: 0,
      maximum: 1_000_000_000,
      default: 512,
      description: 'megabytes that recordings leave free on the disk: for summaries and the history',
    }),
  },
});
