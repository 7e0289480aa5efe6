import type { LiveCall } from '../api/types.ts';
import { duration, entryWords } from '../parts/words.ts';

/** Answers slower than this are told apart: callers begin to say "hello?". */
export const SLOW_TURN_MS = 1_500;
/** So much waits for a client only when it does not fetch it. */
const UNFETCHED_MS = 60_000;

/** What is wrong with a call, in words. */
export interface Trouble {
  /** Higher is worse. */
  readonly weight: number;
  readonly text: string;
}

export function troubleOf(call: LiveCall): Trouble | undefined {
  if (call.lastFault !== undefined) return { weight: 3, text: entryWords(call.lastFault) };
  if (call.queuedAudioMs > UNFETCHED_MS) return { weight: 2, text: 'the client does not fetch its audio' };
  if (isSlow(call)) return { weight: 1, text: `slow: answered in ${duration(call.lastTurnMs ?? 0)}` };
  return undefined;
}

export function isSlow({ lastTurnMs }: LiveCall): boolean {
  return lastTurnMs !== undefined && lastTurnMs > SLOW_TURN_MS;
}
