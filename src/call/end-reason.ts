/** Why a call is over. */
export const END_REASONS = [
  'completed',
  'agent_hangup',
  'transferred',
  'idle',
  'max_duration',
  'upstream_failed',
  'shutdown',
] as const;

export type EndReason = (typeof END_REASONS)[number];
