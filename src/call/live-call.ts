import type { CallInfo } from './call-info.ts';
import type { TranscriptLine } from './record/lines.ts';
import type { NumberedEvent } from './record/timeline.ts';

/** Who is at it. `thinking`: the caller has finished, and the answer is not there yet; `listening`: nobody speaks. */
export const PHASES = ['caller_speaking', 'thinking', 'agent_speaking', 'listening'] as const;
export type Phase = (typeof PHASES)[number];

/** How a call stands that goes on, for whoever watches. Plain data. */
export interface LiveCall extends Omit<CallInfo, 'lastActivity'> {
  readonly sessionId: string;
  readonly callerNumber?: string;
  readonly did?: string;
  readonly phase: Phase;
  /** Times the caller was to be answered. */
  readonly turnCount: number;
  /** Of the last turn that was answered: from the end of speech to the reply's audio. */
  readonly lastTurnMs?: number;
  readonly interruptions: number;
  readonly reconnects: number;
  readonly faultCount: number;
  /** The type of the last of them. */
  readonly lastFault?: string;
}

/** How far somebody has followed a call. */
export interface CallMark {
  readonly entries: number;
  readonly lines: number;
}

/** What has happened on a call since a mark. */
export interface CallNews {
  readonly entries: readonly NumberedEvent[];
  readonly lines: readonly TranscriptLine[];
  /** Some of it is not kept any more. */
  readonly hasGap: boolean;
  readonly mark: CallMark;
}

/** Entries of a timeline that say who is at it. */
export const PHASE_EVENTS: ReadonlySet<string> = new Set([
  'ready',
  'speech_started',
  'speech_stopped',
  'speech_ignored',
  'dtmf_sent',
  'no_input',
  'response_started',
  'handed_over',
  'response_done',
  'upstream_lost',
]);

/** Who is at it. @param last the type of the last of {@link PHASE_EVENTS} */
export function phaseOf(last: string | undefined, isPlaying: boolean): Phase {
  if (last === 'speech_started') return 'caller_speaking';
  if (isPlaying) return 'agent_speaking';
  const isAwaited = last === 'speech_stopped' || last === 'dtmf_sent' || last === 'response_started';
  return isAwaited ? 'thinking' : 'listening';
}
