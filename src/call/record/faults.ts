import type { Fault } from '../../store/records.ts';
import type { TimelineEvent } from './timeline.ts';

const FAULTS = new Set([
  'chunk_rejected',
  'chunks_missing',
  'reply_cancelled',
  'reply_rejected',
  'transcription_failed',
  'upstream_failed',
  'upstream_lost',
  'worker_lost',
]);

/** Whether an entry of a timeline tells of something wrong. */
export function isFault(event: TimelineEvent): event is Fault {
  const { type, status, verdict } = event;
  return (
    FAULTS.has(type) ||
    (type === 'response_done' && status === 'failed') ||
    (type === 'upstream_error' && verdict !== 'benign')
  );
}
