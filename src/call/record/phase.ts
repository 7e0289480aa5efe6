/** Who is at it. `thinking`: the caller has finished, and the answer is not there yet; `listening`: nobody speaks. */
export const PHASES = ['caller_speaking', 'thinking', 'agent_speaking', 'listening'] as const;
export type Phase = (typeof PHASES)[number];

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
