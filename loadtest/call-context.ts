import { setTimeout as sleep } from 'node:timers/promises';
import type { SearchBudget } from './continuity.ts';
import type { GeneratorJob } from './protocol.ts';
import type { ExpectedLines } from './script-lines.ts';
import type { Stats } from './stats.ts';

/** A chunk that should have been sent this long ago is not sent any more, as FreeSWITCH would not. */
export const TOO_OLD_MS = 2_000;
/** How long a call goes on for what is still to be heard of it. */
export const DRAIN_MS = 5_000;
/** Scripted calls: how long the caller waits in silence for the last reply. */
export const LAST_REPLY_MS = 8_000;
export const RETRY_PAUSE_MS = 100;

/** What all calls of a generator share. */
export interface CallContext {
  readonly job: GeneratorJob;
  readonly stats: Stats;
  readonly lookAheadMs: number;
  readonly budget: SearchBudget;
  readonly expectedLines: ReadonlyMap<string, ExpectedLines>;
  /** When calls are to end; it may come closer. */
  readonly stopMs: () => number;
}

/** The chunk of its recording that a call begins with: not all callers say the same at the same time. */
export function firstChunkOf({ expectation }: GeneratorJob, index: number, chunks: number): number {
  // A script is read from its beginning.
  return expectation === 'scripted' ? 0 : (index * 7919) % chunks;
}

/** Notes an end that nobody on the line wanted. */
export function noteEnd(
  { stats }: CallContext,
  callId: string,
  endReason: string | undefined,
  error: string | undefined,
): void {
  if (endReason === undefined || ['completed', 'agent_hangup', 'transferred'].includes(endReason)) return;
  stats.count('callsLost');
  stats.error(`call ${endReason}`);
  stats.note(`${callId} was ended by the gateway: ${endReason}${error ? ` (${error})` : ''}`);
}

/** Timers have whole milliseconds: rounded up, so that nothing is early. */
export async function sleepMs(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal) await sleep(Math.ceil(ms), undefined, { signal }).catch(() => {});
  else await sleep(Math.ceil(ms));
}
